//! The network as this peer sees it, drawn live. Motion stops once the layout is at rest; the table
//! below says the same in words.

use gloo_render::{AnimationFrame, request_animation_frame};
use libp2p_identity::PeerId;
use mycomesh_core::{
    io::Path,
    snapshot::{PeerView, Status, Table},
};
use yew::prelude::*;

use super::layout::{Canvas, Drawn, Layout, Picture};
use crate::{
    browser,
    section::Section,
    ui::{Mark, PathLine, RELAY_OUTLINE, outline},
    words,
};

/// Peers up to which the first drawing is at rest. Motion shows what changes, and nothing has changed yet; laying
/// out more than these at once would hold the page up.
const SETTLED_MAX: usize = 12;

#[derive(Properties, PartialEq)]
pub struct GraphProps {
    pub peers: Section<Table<PeerView>>,
    /// This peer's own state.
    pub me: Status,
    /// Called with the peer that was clicked.
    pub on_choose: Callback<PeerId>,
}

pub enum Msg {
    Frame,
    Pause,
}

/// The drawing and its motion.
pub struct Graph {
    canvas: Canvas,
    picture: Picture,
    layout: Layout,
    paused: bool,
    /// The next frame; none while at rest or paused.
    frame: Option<AnimationFrame>,
}

impl Component for Graph {
    type Message = Msg;
    type Properties = GraphProps;

    fn create(ctx: &Context<Self>) -> Self {
        let picture = Picture::of(&ctx.props().peers);
        let canvas = if browser::narrow() { Canvas::NARROW } else { Canvas::WIDE };
        let mut layout = Layout::new(&picture, canvas, None);
        let few = picture.nodes.len() <= SETTLED_MAX;
        if few {
            layout.settle();
        }
        let mut graph = Self { canvas, picture, layout, paused: false, frame: None };
        if !few {
            graph.keep_moving(ctx);
        }
        graph
    }

    fn changed(&mut self, ctx: &Context<Self>, old: &GraphProps) -> bool {
        let picture = Picture::of(&ctx.props().peers);
        if picture == self.picture {
            return ctx.props().me != old.me;
        }
        if !self.layout.fits(&picture) {
            self.layout = Layout::new(&picture, self.canvas, Some(&self.layout));
            if !self.paused {
                self.keep_moving(ctx);
            }
        }
        self.picture = picture;
        true
    }

    fn update(&mut self, ctx: &Context<Self>, msg: Msg) -> bool {
        match msg {
            Msg::Frame => {
                self.frame = None;
                let moving = self.layout.step();
                if moving {
                    self.keep_moving(ctx);
                }
                moving
            }
            Msg::Pause => {
                self.paused = !self.paused;
                self.frame = None;
                if !self.paused {
                    self.keep_moving(ctx);
                }
                true
            }
        }
    }

    fn view(&self, ctx: &Context<Self>) -> Html {
        let pause = ctx.link().callback(|_: MouseEvent| Msg::Pause);
        let places = self.layout.positions();
        let Canvas([x, y]) = self.canvas;
        let drawn = || self.picture.nodes.iter().zip(&places);
        let linked = self.picture.nodes.iter().filter(|node| node.path != Path::None).count();
        let label = format!(
            "Network graph: this peer in the centre, {} drawn, {linked} of them connected. The table below lists them.",
            words::count(self.picture.nodes.len(), "peer", "peers"),
        );
        html! {
            <figure class="graph">
                <svg viewBox={format!("{} {} {} {}", -x, -y, 2.0 * x, 2.0 * y)}
                    role="img" aria-label={label}>
                    <g class="edges">{ for drawn().filter_map(|(node, [x, y])| edge(node, *x, *y)) }</g>
                    { for drawn().map(|(node, [x, y])| self.node(ctx, node, *x, *y)) }
                    <g class="node me">
                        <circle r="17" class="halo" />
                        <path class={format!("mark-{}", ctx.props().me.as_str())} d={outline(ctx.props().me)}
                            fill-rule="evenodd" transform="scale(1.5)" />
                        <text y="34" text-anchor="middle">{"you"}</text>
                    </g>
                </svg>
                <figcaption>
                    <span class="legend"><PathLine path={Path::DirectWebrtc} /></span>
                    <span class="legend"><PathLine path={Path::Relayed} /></span>
                    <span class="legend"><Mark status={Status::Unknown} relay=true />{"relay"}</span>
                    if self.picture.left_out > 0 {
                        <span class="legend">{ format!("{} not drawn", words::count(self.picture.left_out, "more peer", "more peers")) }</span>
                    }
                    <button type="button" class="quiet" onclick={pause} aria-pressed={self.paused.to_string()}>
                        { "Pause motion" }
                    </button>
                </figcaption>
            </figure>
        }
    }
}

impl Graph {
    fn keep_moving(&mut self, ctx: &Context<Self>) {
        if browser::reduced_motion() {
            self.layout.settle();
            return;
        }
        if self.frame.is_none() {
            let link = ctx.link().clone();
            self.frame = Some(request_animation_frame(move |_| link.send_message(Msg::Frame)));
        }
    }

    fn node(&self, ctx: &Context<Self>, node: &Drawn, x: f64, y: f64) -> Html {
        let shape = if node.relay { RELAY_OUTLINE } else { outline(node.status) };
        let kind = if node.relay { "relay" } else { node.status.as_str() };
        let because = node.relayed_because.as_ref().map_or_else(String::new, |why| format!(" ({why})"));
        let onclick = {
            let (on_choose, peer) = (ctx.props().on_choose.clone(), node.peer);
            (!node.relay).then(|| Callback::from(move |_: MouseEvent| on_choose.emit(peer)))
        };
        let named = node.relay || self.picture.nodes.len() <= self.canvas.names_max();
        let label: String = node.name.chars().take(14).collect();
        // At the edge a name runs inwards.
        let anchor = match x / self.canvas.0[0] {
            share if share > 0.7 => "end",
            share if share < -0.7 => "start",
            _ => "middle",
        };
        html! {
            <g key={node.peer.to_base58()} class={classes!("node", node.relay.then_some("relay"))} {onclick}
                transform={format!("translate({x:.1} {y:.1})")}>
                <title>{ format!("{}: {kind}, {}{because}", node.name, words::path(node.path)) }</title>
                <circle r="14" class="halo" />
                <path class={format!("mark-{kind}")} d={shape} fill-rule="evenodd" transform="scale(1.2)" />
                <text class={classes!((!named).then_some("on-hover"))} y="24" text-anchor={anchor}>{ label }</text>
            </g>
        }
    }
}

fn edge(node: &Drawn, x: f64, y: f64) -> Option<Html> {
    let kind = match node.path {
        Path::None => return None,
        Path::Relayed => "line-relayed",
        _ => "line-direct",
    };
    Some(html! { <line key={node.peer.to_base58()} class={kind} x2={format!("{x:.1}")} y2={format!("{y:.1}")} /> })
}
