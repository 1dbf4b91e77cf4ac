//! SVG as PNG.

use anyhow::{Context, Result, bail};
use resvg::{tiny_skia, usvg};

/// Pixels of the PNG for one of the SVG: sharp on a slide.
const SCALE: f32 = 2.0;
/// Pixels along a side, at most.
const LARGEST: f32 = 16_000.0;

/// Renders a picture with the system's fonts.
///
/// # Errors
/// If the system has no font: a picture without its text says little.
pub fn render(svg: &str) -> Result<Vec<u8>> {
    let mut options = usvg::Options::default();
    options.fontdb_mut().load_system_fonts();
    if options.fontdb.is_empty() {
        bail!("no font was found on this system, and a PNG needs one: install one (`fonts-dejavu-core`), or write an SVG");
    }
    let sans = ["DejaVu Sans", "Verdana", "Liberation Sans", "Arial", "Helvetica", "Noto Sans"];
    let has = |name: &&str| options.fontdb.faces().any(|face| face.families.iter().any(|(family, _)| family == *name));
    let any = options.fontdb.faces().next().and_then(|face| face.families.first()).map(|(family, _)| family.clone());
    if let Some(family) = sans.into_iter().find(has).map(str::to_owned).or(any) {
        options.fontdb_mut().set_sans_serif_family(family);
    }
    let tree = usvg::Tree::from_str(svg, &options).context("the picture is no valid SVG")?;
    let size = tree.size();
    let longer = if size.width() > size.height() { size.width() } else { size.height() };
    let scale = if longer * SCALE > LARGEST { LARGEST / longer } else { SCALE };
    let (width, height) = ((size.width() * scale).ceil() as u32, (size.height() * scale).ceil() as u32);
    let mut pixels = tiny_skia::Pixmap::new(width, height).context("the picture has no size")?;
    resvg::render(&tree, tiny_skia::Transform::from_scale(scale, scale), &mut pixels.as_mut());
    pixels.encode_png().context("the picture cannot be encoded")
}
