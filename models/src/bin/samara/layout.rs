//! Places the nodes of a graph in layers, each below all that it depends on.
//!
//! Lines across several layers get a place in each layer that they pass; the order within a layer follows the neighbours
//! above, and places move towards their neighbours' in a few sweeps (after Sugiyama, Tagawa and Toda, 1981).

/// Pixels between neighbours in a layer.
const GAP: f64 = 18.0;
/// Sweeps down and up.
const SWEEPS: usize = 8;
/// How much more a box resists being moved than a line that passes.
const BOX_WEIGHT: f64 = 16.0;

/// A place in a layer: of a node, or of a line that passes.
#[derive(Debug)]
pub struct Item {
    /// The node, if it is one.
    pub node: Option<usize>,
    /// Its centre.
    pub x: f64,
    width: f64,
}

/// A graph in layers.
#[derive(Debug)]
pub struct Placed {
    /// The places, layer by layer, from left to right.
    pub layers: Vec<Vec<Item>>,
    /// Pieces of lines: layer, place in it, place in the next layer.
    pub links: Vec<(usize, usize, usize)>,
    /// Pixels from the leftmost edge, at 0, to the rightmost.
    pub width: f64,
}

/// Places nodes of these widths. Each edge leads from a node to one of a higher number.
pub fn place(widths: &[f64], edges: &[(usize, usize)]) -> Placed {
    let mut layer_of = vec![0; widths.len()];
    for node in 0..widths.len() {
        let above = edges.iter().filter(|(_, to)| *to == node).map(|(from, _)| layer_of[*from] + 1);
        layer_of[node] = above.max().unwrap_or(0);
    }
    let count = layer_of.iter().max().map_or(0, |last| last + 1);
    let mut layers: Vec<Vec<Item>> = Vec::new();
    let mut links = Vec::new();
    let mut place_of = vec![0; widths.len()];
    for layer in 0..count {
        let nodes = (0..widths.len()).filter(|&node| layer_of[node] == layer);
        let mut hanging: Vec<Hanging> =
            nodes.map(|node| Hanging { node: Some(node), above: Vec::new(), passing: None }).collect();
        for &(from, to) in edges.iter().filter(|&&(from, to)| layer_of[from] < layer && layer_of[to] >= layer) {
            let above = if layer_of[from] + 1 == layer { place_of[from] } else { passing_place(&links, layer, (from, to)) };
            match hanging.iter_mut().find(|item| item.node == Some(to)) {
                Some(item) => item.above.push(above),
                None => hanging.push(Hanging { node: None, above: vec![above], passing: Some((from, to)) }),
            }
        }
        hanging.sort_by(|a, b| a.middle().total_cmp(&b.middle()));
        for (place, item) in hanging.iter().enumerate() {
            if let Some(node) = item.node {
                place_of[node] = place;
            }
            links.extend(item.above.iter().map(|&above| (layer - 1, above, place, item.passing)));
        }
        let place = |item: Hanging| Item { node: item.node, x: 0.0, width: item.node.map_or(0.0, |node| widths[node]) };
        layers.push(hanging.into_iter().map(place).collect());
    }
    let links: Vec<(usize, usize, usize)> = links.into_iter().map(|(layer, from, to, _)| (layer, from, to)).collect();
    for sweep in 0..SWEEPS {
        for step in 0..count {
            let layer = if sweep % 2 == 0 { step } else { count - 1 - step };
            align(&mut layers, &links, layer, sweep % 2 == 0);
        }
    }
    let edges = layers.iter().flatten().map(|item| (item.x - item.width / 2.0, item.x + item.width / 2.0));
    let (left, right) = edges.fold((f64::MAX, f64::MIN), |(left, right), (start, end)| (left.min(start), right.max(end)));
    layers.iter_mut().flatten().for_each(|item| item.x -= left);
    Placed { layers, links, width: if count == 0 { 0.0 } else { right - left } }
}

/// A node of a layer, or an edge that passes it, and the places in the layer above that it hangs on.
struct Hanging {
    node: Option<usize>,
    above: Vec<usize>,
    passing: Option<(usize, usize)>,
}

impl Hanging {
    /// Where it would stand best.
    fn middle(&self) -> f64 {
        self.above.iter().sum::<usize>() as f64 / self.above.len().max(1) as f64
    }
}

/// A piece of a line: layer, place in it, place in the next, and the edge if that place is of a line that passes.
type Link = (usize, usize, usize, Option<(usize, usize)>);

/// Where an edge passes the layer above `layer`.
fn passing_place(links: &[Link], layer: usize, edge: (usize, usize)) -> usize {
    links.iter().find(|link| link.0 + 2 == layer && link.3 == Some(edge)).map_or(0, |link| link.2)
}

/// Moves a layer's places towards their neighbours above or below, as near as the gaps allow.
fn align(layers: &mut [Vec<Item>], links: &[(usize, usize, usize)], layer: usize, from_above: bool) {
    let wanted = |place: usize| {
        let neighbours: Vec<f64> = links
            .iter()
            .filter_map(|&(upper, from, to)| match from_above {
                true => (upper + 1 == layer && to == place).then(|| layers[upper][from].x),
                false => (upper == layer && from == place).then(|| layers[upper + 1][to].x),
            })
            .collect();
        let own = layers[layer][place].x;
        if neighbours.is_empty() { own } else { neighbours.iter().sum::<f64>() / neighbours.len() as f64 }
    };
    let wanted: Vec<f64> = (0..layers[layer].len()).map(wanted).collect();
    let (mut end, mut moved, mut weights) = (f64::MIN, 0.0, 0.0);
    for (item, &wanted) in layers[layer].iter_mut().zip(&wanted) {
        item.x = wanted.max(end + item.width / 2.0);
        end = item.x + item.width / 2.0 + GAP;
        let weight = if item.node.is_some() { BOX_WEIGHT } else { 1.0 };
        moved += weight * (item.x - wanted);
        weights += weight;
    }
    layers[layer].iter_mut().for_each(|item| item.x -= moved / weights);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 0 to 1 to 2 to 3, and a shortcut from 0 to 3 that passes two layers.
    #[test]
    fn shortcuts_pass_beside_the_boxes() {
        let placed = place(&[100.0; 4], &[(0, 1), (1, 2), (2, 3), (0, 3)]);
        let nodes: Vec<Vec<Option<usize>>> =
            placed.layers.iter().map(|layer| layer.iter().map(|item| item.node).collect()).collect();
        assert_eq!(nodes, [vec![Some(0)], vec![Some(1), None], vec![Some(2), None], vec![Some(3)]]);
        let mut links = placed.links.clone();
        links.sort_unstable();
        assert_eq!(links, [(0, 0, 0), (0, 0, 1), (1, 0, 0), (1, 1, 1), (2, 0, 0), (2, 1, 0)]);
        for layer in &placed.layers {
            for pair in layer.windows(2) {
                assert!(pair[1].x - pair[0].x >= pair[0].width / 2.0 + GAP - 1e-9, "{pair:?}");
            }
        }
        assert!(placed.layers.iter().flatten().all(|item| item.x >= 0.0 && item.x <= placed.width));
    }

    #[test]
    fn a_chain_is_straight() {
        let placed = place(&[40.0, 100.0, 60.0], &[(0, 1), (1, 2)]);
        assert!(placed.layers.iter().all(|layer| layer.len() == 1 && (layer[0].x - 50.0).abs() < 1e-9), "{placed:?}");
        assert!((placed.width - 100.0).abs() < 1e-9);
        assert!(place(&[], &[]).layers.is_empty());
    }
}
