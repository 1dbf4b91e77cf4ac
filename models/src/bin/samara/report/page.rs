//! The page: one file of HTML without scripts, and without anything from elsewhere.

use samara_models::chart::escape;

/// Readable on a phone, on paper, and without a network.
const STYLE: &str = "
:root { --ink: #1c2733; --soft: #5a6b7d; --line: #dde3e9; --card: #ffffff; --page: #f4f6f8 }
* { box-sizing: border-box }
body { margin: 0; background: var(--page); color: var(--ink); font: 16px/1.5 system-ui, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif }
main { max-width: 1120px; margin: 0 auto; padding: 20px 16px 60px }
h1 { font-size: 1.7rem; margin: 8px 0 2px } h2 { font-size: 1.2rem; margin: 0 0 6px }
p { margin: 4px 0 10px; color: var(--soft) } code { overflow-wrap: anywhere }
section { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 16px; margin: 16px 0 }
.facts { display: grid; grid-template-columns: repeat(auto-fit, minmax(140px, 1fr)); gap: 10px; margin: 14px 0 }
.fact { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 10px 14px }
.fact b { display: block; font-size: 1.3rem } .fact span { color: var(--soft); font-size: .85rem }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 320px), 1fr)); gap: 14px }
.scroll { overflow-x: auto }
svg.chart { width: 100%; max-width: 560px; height: auto; display: block } svg.small { max-width: 380px } svg.wide { display: block; height: auto }
svg text { font: 12px system-ui, 'DejaVu Sans', sans-serif; fill: #3c4a58 } svg .title { font-weight: bold }
svg .x { text-anchor: middle } svg .y { text-anchor: end } svg .grid { stroke: #e3e8ed; fill: none }
table { border-collapse: collapse; font-size: .86rem; font-variant-numeric: tabular-nums }
th, td { padding: 4px 9px; text-align: right; border-bottom: 1px solid var(--line); white-space: nowrap }
th { color: var(--soft); font-weight: 600 } .left { text-align: left }
.confusion td { text-align: center; min-width: 2.6em } .confusion td.dark { color: #fff } .confusion th { text-align: center }
.confusion th.left { text-align: left }
.yes { color: #00795a; font-weight: 600 } .no { color: #b34700; font-weight: 600 }
.mistakes { display: grid; grid-template-columns: repeat(auto-fill, minmax(150px, 1fr)); gap: 12px }
figure { margin: 0; border: 1px solid var(--line); border-radius: 8px; padding: 8px }
figure img { width: 100%; height: auto; image-rendering: pixelated; background: #eee; display: block }
figure audio { width: 100% } svg.sample { width: 100%; height: auto; display: block; background: #f8fafb }
figcaption { font-size: .82rem; line-height: 1.35; margin-top: 6px; overflow-wrap: anywhere } .fields { font-size: .82rem; overflow-wrap: anywhere }
@media print { section { break-inside: avoid } body { background: #fff } }
";

/// A page in the making.
pub struct Page {
    title: String,
    body: String,
}

impl Page {
    /// With a title, and a line below it.
    pub fn new(title: &str, below: &str) -> Self {
        let body = format!("<h1>{}</h1><p>{}</p>", escape(title), escape(below));
        Self { title: title.to_owned(), body }
    }

    /// Numbers that say the most, each with its name.
    pub fn facts(&mut self, facts: &[(String, String)]) {
        let fact = |(name, value): &(String, String)| {
            format!("<div class=\"fact\"><b>{}</b><span>{}</span></div>", escape(value), escape(name))
        };
        self.body += &format!("<div class=\"facts\">{}</div>", facts.iter().map(fact).collect::<String>());
    }

    /// A section with a title, a sentence that explains it, and what is shown, as HTML.
    pub fn section(&mut self, title: &str, explanation: &str, content: &str) {
        self.body += &format!("<section><h2>{}</h2><p>{}</p>{content}</section>\n", escape(title), escape(explanation));
    }

    /// The file.
    pub fn to_html(&self) -> String {
        format!(
            "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"/>\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/><title>{}</title><style>{STYLE}</style></head>\n\
             <body><main>{}</main></body></html>\n",
            escape(&self.title),
            self.body
        )
    }
}

/// What may be wider than the screen moves on its own.
pub fn scrolling(content: &str) -> String {
    format!("<div class=\"scroll\">{content}</div>")
}
