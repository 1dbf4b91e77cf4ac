//! Places the nodes of a graph in layers, each below all that it depends on (after Sugiyama, Tagawa and Toda, 1981).
//!
//! Lines across several layers get a place in each layer that they pass. The order within layers follows the neighbours' in a few
//! sweeps, and the best order seen is taken; then places move towards their neighbours' as near as the gaps allow, so that long lines are
//! straight before all.

/// Pixels between neighbours in a layer.
const GAP: f64 = 22.0;
/// Sweeps for the order, and for the places.
const ORDER_SWEEPS: usize = 12;
const PLACE_SWEEPS: usize = 200;
/// How much more a link resists being bent that alone leaves its upper end and alone reaches its lower one, phase by phase: chains become
/// straight, and bend where lines part and meet. What is stiff moves slowly, so that it is soft at first.
const STRAIGHT: [f64; 3] = [1.0, 16.0, 1000.0];

/// A place in a layer: of a node, or of a line that passes.
#[derive(Debug, Clone)]
pub struct Item {
    /// The node, if it is one.
    pub node: Option<usize>,
    /// Its centre.
    pub x: f64,
    width: f64,
    /// The group that it belongs to, for the order: members of one stay together.
    group: usize,
}

/// A graph in layers.
#[derive(Debug)]
pub struct Placed {
    /// The places, layer by layer, from left to right.
    pub layers: Vec<Vec<Item>>,
    /// Pieces of lines.
    pub links: Vec<Link>,
    /// Pixels from the leftmost edge, at 0, to the rightmost.
    pub width: f64,
}

/// A piece of a line, from a place in a layer to one in the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Link {
    /// The upper layer.
    pub layer: usize,
    /// The place in it.
    pub from: usize,
    /// The place in the next layer.
    pub to: usize,
    /// The number of the line among the edges.
    pub edge: usize,
}

/// What is to be placed.
#[derive(Debug, Clone, Copy)]
pub struct Node {
    /// Pixels.
    pub width: f64,
    /// The group that it belongs to: any number, the same for those that stay together.
    pub group: usize,
}

/// Places nodes. Each edge leads from a node to one of a higher number.
pub fn place(nodes: &[Node], edges: &[(usize, usize)]) -> Placed {
    let layer_of = layers_of(nodes.len(), edges);
    let (mut layers, mut links) = with_passing(nodes, edges, &layer_of);
    order(&mut layers, &mut links);
    for straight in STRAIGHT {
        let weights: Vec<f64> = links.iter().map(|link| if is_alone(link, &links) { straight } else { 1.0 }).collect();
        for sweep in 0..PLACE_SWEEPS {
            for step in 0..layers.len() {
                let layer = if sweep % 2 == 0 { step } else { layers.len() - 1 - step };
                align(&mut layers, &links, &weights, layer);
            }
        }
    }
    for _ in 0..2 {
        separate_groups(&mut layers);
    }
    let edges = layers.iter().flatten().map(|item| (item.x - item.width / 2.0, item.x + item.width / 2.0));
    let (left, right) = edges.fold((f64::MAX, f64::MIN), |(left, right), (start, end)| (left.min(start), right.max(end)));
    layers.iter_mut().flatten().for_each(|item| item.x -= left);
    Placed { width: if layers.is_empty() { 0.0 } else { right - left }, layers, links }
}

/// The layer of each node: below all that it takes, but no higher than just above what takes it where that shortens lines.
fn layers_of(nodes: usize, edges: &[(usize, usize)]) -> Vec<usize> {
    let mut layer_of = vec![0; nodes];
    for node in 0..nodes {
        let above = edges.iter().filter(|(_, to)| *to == node).map(|(from, _)| layer_of[*from] + 1);
        layer_of[node] = above.max().unwrap_or(0);
    }
    for node in (0..nodes).rev() {
        let takes = edges.iter().filter(|(_, to)| *to == node).count();
        let takers = || edges.iter().filter(|(from, _)| *from == node).map(|(_, to)| layer_of[*to]);
        if let Some(first) = takers().min().filter(|_| takers().count() > takes) {
            layer_of[node] = first - 1;
        }
    }
    layer_of
}

/// The layers with places for lines that pass, not yet in order, and the pieces of lines.
fn with_passing(nodes: &[Node], edges: &[(usize, usize)], layer_of: &[usize]) -> (Vec<Vec<Item>>, Vec<Link>) {
    let count = layer_of.iter().max().map_or(0, |last| last + 1);
    let mut layers: Vec<Vec<Item>> = vec![Vec::new(); count];
    let mut place_of = vec![0; nodes.len()];
    for (number, node) in nodes.iter().enumerate() {
        let layer = &mut layers[layer_of[number]];
        place_of[number] = layer.len();
        layer.push(Item { node: Some(number), x: 0.0, width: node.width, group: node.group });
    }
    let mut links = Vec::new();
    for (edge, &(from, to)) in edges.iter().enumerate() {
        let mut place = place_of[from];
        for layer in layer_of[from]..layer_of[to] {
            let next = if layer + 1 == layer_of[to] {
                place_of[to]
            } else {
                // Within a group that both ends are in, the line passes among its members.
                let group = if nodes[from].group == nodes[to].group { nodes[from].group } else { usize::MAX };
                layers[layer + 1].push(Item { node: None, x: 0.0, width: 0.0, group });
                layers[layer + 1].len() - 1
            };
            links.push(Link { layer, from: place, to: next, edge });
            place = next;
        }
    }
    (layers, links)
}

/// Orders the places of each layer by their neighbours', down and up, and keeps the order with the fewest crossings.
fn order(layers: &mut [Vec<Item>], links: &mut [Link]) {
    // The order at the start counts nothing: members of groups are not together.
    let mut best = (usize::MAX, layers.to_vec(), links.to_vec());
    for sweep in 0..ORDER_SWEEPS {
        for step in 0..layers.len() {
            let down = sweep % 2 == 0;
            let layer = if down { step } else { layers.len() - 1 - step };
            sort_layer(layers, links, layer, down);
        }
        let found = crossings(links);
        if found < best.0 {
            best = (found, layers.to_vec(), links.to_vec());
        }
    }
    layers.clone_from_slice(&best.1);
    links.copy_from_slice(&best.2);
}

/// Sorts a layer by the mean place of the neighbours above or below; members of a group by that of the group, and then by their own.
fn sort_layer(layers: &mut [Vec<Item>], links: &mut [Link], layer: usize, by_above: bool) {
    let mean = |place: usize| {
        let above = |link: &Link| by_above && link.layer + 1 == layer && link.to == place;
        let below = |link: &Link| !by_above && link.layer == layer && link.from == place;
        let neighbours = links.iter().filter_map(|link| match link {
            link if above(link) => Some(link.from),
            link if below(link) => Some(link.to),
            _ => None,
        });
        let (sum, count) = neighbours.fold((0, 0), |(sum, count), place| (sum + place, count + 1));
        if count == 0 { place as f64 } else { f64::from(sum as u32) / f64::from(count) }
    };
    let means: Vec<f64> = (0..layers[layer].len()).map(mean).collect();
    let of_group = |place: usize| {
        let group = layers[layer][place].group;
        if group == usize::MAX {
            return means[place];
        }
        let own = (0..means.len()).filter(|&other| layers[layer][other].group == group).map(|other| means[other]);
        let (sum, count) = own.fold((0.0, 0.0), |(sum, count), mean| (sum + mean, count + 1.0));
        sum / count
    };
    let keys: Vec<(f64, usize, f64)> =
        (0..means.len()).map(|place| (of_group(place), layers[layer][place].group, means[place])).collect();
    let mut sorted: Vec<usize> = (0..means.len()).collect();
    sorted.sort_by(|&a, &b| {
        let (a, b) = (keys[a], keys[b]);
        a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)).then(a.2.total_cmp(&b.2))
    });
    let mut new_place = vec![0; sorted.len()];
    sorted.iter().enumerate().for_each(|(new, &old)| new_place[old] = new);
    layers[layer] = sorted.iter().map(|&old| layers[layer][old].clone()).collect();
    for link in links {
        if link.layer == layer {
            link.from = new_place[link.from];
        }
        if link.layer + 1 == layer {
            link.to = new_place[link.to];
        }
    }
}

/// How many pieces of lines cross.
fn crossings(links: &[Link]) -> usize {
    let crosses = |a: &Link, b: &Link| a.layer == b.layer && (a.from < b.from && a.to > b.to || a.from > b.from && a.to < b.to);
    links.iter().enumerate().map(|(number, a)| links[..number].iter().filter(|b| crosses(a, b)).count()).sum()
}

/// No line to elsewhere leaves its upper end, and none from elsewhere reaches its lower one.
fn is_alone(link: &Link, links: &[Link]) -> bool {
    let meets = |other: &Link| other.layer == link.layer && ((other.from == link.from) != (other.to == link.to));
    !links.iter().any(meets)
}

/// Moves a layer's places as near to the mean of their neighbours' as the gaps allow: the least sum of squares, weighted by how
/// much each link would rather be straight.
fn align(layers: &mut [Vec<Item>], links: &[Link], weights: &[f64], layer: usize) {
    let mut wanted = vec![(0.0, 0.0); layers[layer].len()];
    for (link, weight) in links.iter().zip(weights) {
        let (place, other) = match link.layer {
            upper if upper == layer => (link.from, &layers[layer + 1][link.to]),
            upper if upper + 1 == layer => (link.to, &layers[upper][link.from]),
            _ => continue,
        };
        wanted[place] = (wanted[place].0 + weight * other.x, wanted[place].1 + weight);
    }
    // Where each place would be if all before it were at the same point: what must then not fall.
    let mut offset = 0.0;
    let mut offsets = Vec::new();
    for (place, item) in layers[layer].iter().enumerate() {
        if place > 0 {
            offset += (layers[layer][place - 1].width + item.width) / 2.0 + GAP;
        }
        offsets.push(offset);
    }
    // Blocks of places that touch: the mean of what they want, their weight, their number.
    let mut blocks: Vec<(f64, f64, usize)> = Vec::new();
    for (place, &(sum, weight)) in wanted.iter().enumerate() {
        let (target, weight) = if weight > 0.0 { (sum / weight, weight) } else { (layers[layer][place].x, 0.01) };
        blocks.push((target - offsets[place], weight, 1));
        while let [.., before, last] = blocks[..]
            && before.0 > last.0
        {
            let weight = before.1 + last.1;
            let mean = (before.0 * before.1 + last.0 * last.1) / weight;
            blocks.truncate(blocks.len() - 2);
            blocks.push((mean, weight, before.2 + last.2));
        }
    }
    let places = blocks.iter().flat_map(|&(mean, _, count)| std::iter::repeat_n(mean, count));
    for ((item, place), offset) in layers[layer].iter_mut().zip(places).zip(offsets) {
        item.x = place + offset;
    }
}

/// Moves what is of no group, or of another, away from between the leftmost and the rightmost member of a group, in all layers that the
/// group spans.
fn separate_groups(layers: &mut [Vec<Item>]) {
    let mut groups: Vec<usize> = layers.iter().flatten().map(|item| item.group).filter(|&group| group != usize::MAX).collect();
    groups.sort_unstable();
    groups.dedup();
    for group in groups {
        let has_members = |layer: &Vec<Item>| layer.iter().any(|item| item.group == group);
        let (Some(first), Some(last)) = (layers.iter().position(has_members), layers.iter().rposition(has_members)) else {
            continue;
        };
        let members = layers.iter().flatten().filter(|item| item.group == group);
        let (left, right) = members.fold((f64::MAX, f64::MIN), |(left, right), item| {
            (left.min(item.x - item.width / 2.0), right.max(item.x + item.width / 2.0))
        });
        for layer in &mut layers[first..=last] {
            let centre = (left + right) / 2.0;
            let before = layer.iter().position(|item| item.group == group);
            let before = before.unwrap_or_else(|| layer.iter().filter(|item| item.x < centre).count());
            let behind = layer.iter().rposition(|item| item.group == group).map_or(before, |place| place + 1);
            let mut limit = left - GAP;
            for item in layer[..before].iter_mut().rev() {
                item.x = item.x.min(limit - item.width / 2.0);
                limit = item.x - item.width / 2.0 - GAP;
            }
            let mut limit = right + GAP;
            for item in &mut layer[behind..] {
                item.x = item.x.max(limit + item.width / 2.0);
                limit = item.x + item.width / 2.0 + GAP;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nodes(widths: &[f64]) -> Vec<Node> {
        widths.iter().map(|&width| Node { width, group: usize::MAX }).collect()
    }

    /// 0 to 1 to 2 to 3, and a shortcut from 0 to 3 that passes two layers.
    #[test]
    fn shortcuts_pass_beside_the_boxes() {
        let placed = place(&nodes(&[100.0; 4]), &[(0, 1), (1, 2), (2, 3), (0, 3)]);
        let mut counts: Vec<usize> = placed.layers.iter().map(Vec::len).collect();
        assert_eq!(counts, [1, 2, 2, 1]);
        counts.clear();
        assert_eq!(placed.links.iter().filter(|link| link.edge == 3).count(), 3);
        for layer in &placed.layers {
            for pair in layer.windows(2) {
                assert!(pair[1].x - pair[0].x >= (pair[0].width + pair[1].width) / 2.0 + GAP - 1e-9, "{pair:?}");
            }
        }
        let passing: Vec<f64> = placed.layers.iter().flatten().filter(|item| item.node.is_none()).map(|item| item.x).collect();
        assert!((passing[0] - passing[1]).abs() < 1.0, "a long line is straight: {passing:?}");
        assert!(placed.layers.iter().flatten().all(|item| item.x >= 0.0 && item.x <= placed.width));
    }

    #[test]
    fn a_chain_is_straight() {
        let placed = place(&nodes(&[40.0, 100.0, 60.0]), &[(0, 1), (1, 2)]);
        assert!(placed.layers.iter().all(|layer| layer.len() == 1 && (layer[0].x - 50.0).abs() < 1e-6), "{placed:?}");
        assert!((placed.width - 100.0).abs() < 1e-6);
        assert!(place(&[], &[]).layers.is_empty());
    }

    /// The second input, 1, is taken by the last node alone.
    #[test]
    fn inputs_stand_just_above_what_takes_them() {
        let placed = place(&nodes(&[10.0; 5]), &[(0, 2), (2, 3), (3, 4), (1, 4)]);
        let of_layer = |layer: usize| placed.layers[layer].iter().filter_map(|item| item.node).collect::<Vec<_>>();
        assert_eq!((of_layer(0), of_layer(2).len(), of_layer(3)), (vec![0], 2, vec![4]));
    }

    /// 0 and 1 lead crosswise to 3 and 2.
    #[test]
    fn lines_do_not_cross_without_need() {
        let placed = place(&nodes(&[10.0; 4]), &[(0, 3), (1, 2)]);
        assert_eq!(crossings(&placed.links), 0, "{placed:?}");
    }

    /// 1 and 3 are of a group, 2 is not, and hangs on a node between theirs.
    #[test]
    fn members_of_a_group_stay_together() {
        let group = |group: usize| Node { width: 10.0, group };
        let none = usize::MAX;
        let placed = place(&[group(none), group(7), group(none), group(7)], &[(0, 1), (0, 2), (0, 3)]);
        let order: Vec<usize> = placed.layers[1].iter().filter_map(|item| item.node).collect();
        assert!(order[1] != 2, "{order:?}");
    }
}
