// Offers of connections that nobody means to make.

/** The protocol by which pages exchange session descriptions. */
export const SIGNALLING = '/webrtc-signaling/0.0.1'

/** A length-prefixed signalling message that carries an offer of this browser. */
export async function offerMessage () {
  const connection = new RTCPeerConnection()
  connection.createDataChannel('init')
  const { sdp } = await connection.createOffer()
  connection.close()
  const data = new TextEncoder().encode(sdp)
  const body = new Uint8Array([0x08, 0x00, 0x12, ...varint(data.length), ...data])
  return new Uint8Array([...varint(body.length), ...body])
}

function varint (number) {
  const bytes = []
  for (; number > 0x7f; number >>>= 7) bytes.push((number & 0x7f) | 0x80)
  return [...bytes, number]
}
