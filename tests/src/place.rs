//! Where a process runs: in which network, and with which address there.

use std::{
    fs::File,
    io,
    net::{Ipv4Addr, TcpStream as StdStream},
    os::fd::AsFd as _,
    path::Path,
    thread,
};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use tokio::{net::TcpStream, process::Command, sync::oneshot};

/// A network that a process can be started in. The default is this machine's own, on loopback.
#[derive(Clone, Debug)]
pub struct Place {
    /// The name of its network namespace; this process's own when none.
    pub namespace: Option<String>,
    /// The address under which others in that network reach it.
    pub ip: Ipv4Addr,
}

impl Default for Place {
    fn default() -> Self {
        Self { namespace: None, ip: Ipv4Addr::LOCALHOST }
    }
}

impl Place {
    /// The command that runs `program` here.
    pub(crate) fn command(&self, program: &Path) -> Command {
        let Some(namespace) = &self.namespace else { return Command::new(program) };
        // It becomes the program, so that the process id is the program's own.
        let mut command = Command::new("ip");
        command.args(["netns", "exec", namespace]).arg(program);
        command
    }

    /// Move the calling thread here for good. A thread that others use as well must not do this.
    pub fn enter(&self) -> io::Result<()> {
        let Some(namespace) = &self.namespace else { return Ok(()) };
        let link = File::open(Path::new("/run/netns").join(namespace))?;
        Ok(move_into_link_name_space(link.as_fd(), Some(LinkNameSpaceType::Network))?)
    }

    /// A connection to `addr` from here. None when nobody answers there.
    pub(crate) async fn connect(&self, addr: &str) -> Option<TcpStream> {
        if self.namespace.is_none() {
            return TcpStream::connect(addr).await.ok();
        }
        let (place, addr) = (self.clone(), addr.to_owned());
        let (give, given) = oneshot::channel();
        // A socket stays in the network in which it was made; the thread is there for nothing else.
        thread::spawn(move || give.send(place.enter().and_then(|()| StdStream::connect(addr))));
        let stream = given.await.ok()?.ok()?;
        stream.set_nonblocking(true).ok()?;
        TcpStream::from_std(stream).ok()
    }
}
