//! QR codes as one SVG path.

use std::fmt::Write;

use fast_qr::{ECL, QRBuilder};
use yew::prelude::*;

/// Light modules around the code, as the standard asks.
const QUIET: usize = 4;

#[derive(Properties, PartialEq)]
pub struct QrProps {
    /// What it encodes.
    pub text: AttrValue,
    /// What it is, for people who cannot see it.
    pub label: AttrValue,
}

/// A QR code, always dark on light: many readers cannot read the inverse.
#[function_component]
pub fn Qr(props: &QrProps) -> Html {
    let code = use_memo(props.text.clone(), |text| code(text));
    match &*code {
        Some((size, path)) => html! {
            <svg class="qr" viewBox={format!("0 0 {size} {size}")} role="img" aria-label={props.label.clone()}
                shape-rendering="crispEdges">
                <rect width={size.to_string()} height={size.to_string()} fill="#fff" />
                <path d={path.clone()} fill="#101510" />
            </svg>
        },
        None => html! { <p>{"This link is too long for a QR code; copy it instead."}</p> },
    }
}

/// Edge length in modules and the path of the dark ones; none for a text that does not fit.
fn code(text: &str) -> Option<(usize, String)> {
    let code = QRBuilder::new(text).ecl(ECL::L).build().ok()?;
    let mut path = String::new();
    for y in 0..code.size {
        for x in (0..code.size).filter(|x| code[y][*x].value()) {
            write!(path, "M{} {}h1v1h-1z", x + QUIET, y + QUIET).expect("a string takes everything");
        }
    }
    Some((code.size + 2 * QUIET, path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_becomes_a_path() {
        let (size, path) = code("http://127.0.0.1:8080/#join=x").expect("it fits");
        assert!(size >= 21 + 2 * QUIET);
        // The corner of the finder pattern.
        assert!(path.starts_with("M4 4h1v1h-1z"));
        assert!(code(&"x".repeat(4_000)).is_none());
    }
}
