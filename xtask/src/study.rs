//! What the nets of a search take on an emulated device, beside what the search believed of them.

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::{
    boards::{self, Board},
    device_bench::{self, Measurement},
    host::ModelBytes,
    paths, setup,
    table::{self, thousands},
};

/// What `samara tune` leaves: the list of its nets, and the page.
const LIST: &str = "nets.json";
const PAGE: &str = "report.html";
/// What is written.
const COUNTED: &str = "device.json";
/// The board whose core the search estimates.
const BOARD: &str = "an386";
/// What stands around the page's section, so that a second count replaces the first.
const BEGIN: &str = "<section id=\"counted\">";
const END: &str = "</section>";

/// A net of the list, and what the search believed of it.
struct Net {
    trial: u64,
    value: Option<f64>,
    path: PathBuf,
    instructions: Option<u64>,
    arena_bytes: Option<u64>,
    model_bytes: Option<u64>,
}

/// What came of a net on a board.
enum Count {
    Ran(Measurement),
    TooBig,
}

/// Runs the winner of a search and its front on boards, prints a table, writes `device.json` beside them, and adds a section to the page.
///
/// # Errors
/// If the directory is none of a search, firmware cannot be built or run here, or outputs differ from this machine's.
pub fn run(directory: &Path, board_names: &[String]) -> Result<()> {
    let (objective, nets) = read(directory)?;
    let names = if board_names.is_empty() { vec![BOARD.to_owned()] } else { board_names.to_vec() };
    let boards = boards::select(&names, boards::all)?;
    setup::require(&boards)?;
    let mut counts = Vec::new();
    for board in boards {
        for net in &nets {
            let model = ModelBytes::read(&net.path)?;
            let count = if model.fits(board) { Count::Ran(device_bench::measure(board, &model)?) } else { Count::TooBig };
            counts.push((net, board, count));
        }
    }
    let rows = counts.iter().map(|(net, board, count)| row(net, board, count)).collect::<Result<Vec<_>>>()?;
    let titles = titles(&objective);
    println!("\n{}", table::render(&titles, &rows));
    let records = counts.iter().map(|(net, board, count)| record(net, board, count)).collect::<Result<Vec<_>>>()?;
    let path = directory.join(COUNTED);
    fs::write(&path, format!("{:#}\n", Value::from(records)))
        .with_context(|| format!("{} cannot be written", path.display()))?;
    let page = directory.join(PAGE);
    let html = fs::read_to_string(&page).with_context(|| format!("{} cannot be read", page.display()))?;
    let html =
        with_section(&html, &titles, &rows).with_context(|| format!("{} is no page of `samara tune`", page.display()))?;
    fs::write(&page, html).with_context(|| format!("{} cannot be written", page.display()))?;
    println!("{} written, and a section in {}.", paths::shown(&path), paths::shown(&page));
    Ok(())
}

/// The objective's name, and the nets that the search left.
fn read(directory: &Path) -> Result<(String, Vec<Net>)> {
    let list = directory.join(LIST);
    let text = fs::read_to_string(&list).with_context(|| {
        format!("{} cannot be read: it is what `samara tune --out` leaves when it writes the winner", list.display())
    })?;
    let json: Value = serde_json::from_str(&text).with_context(|| format!("{} is no JSON", list.display()))?;
    let net = |net: &Value| -> Option<Net> {
        let number = |key: &str| net[key].as_u64();
        Some(Net {
            trial: number("trial")?,
            value: net["value"].as_f64(),
            path: directory.join(net["file"].as_str()?),
            instructions: number("instructions"),
            arena_bytes: number("arena_bytes"),
            model_bytes: number("model_bytes"),
        })
    };
    let nets: Option<Vec<Net>> = json["nets"].as_array().and_then(|nets| nets.iter().map(net).collect());
    match (json["objective"].as_str(), nets.filter(|nets| !nets.is_empty())) {
        (Some(objective), Some(nets)) => Ok((objective.to_owned(), nets)),
        _ => bail!("{} lists no nets", list.display()),
    }
}

fn titles(objective: &str) -> [&str; 11] {
    [
        "trial",
        objective,
        "core",
        "instructions",
        "estimated",
        "off by",
        "arena",
        "planned",
        "stack",
        "flash: code",
        "flash: model",
    ]
}

/// `-` where a search kept no such figure.
fn shown(number: Option<u64>) -> String {
    number.map_or_else(|| "-".to_owned(), thousands)
}

/// By how much an estimate is above what was counted.
fn off_by(estimated: Option<u64>, counted: u64) -> String {
    match estimated {
        Some(estimated) if counted > 0 => format!("{:+.1}%", (estimated as f64 / counted as f64 - 1.0) * 100.0),
        _ => "-".to_owned(),
    }
}

fn row(net: &Net, board: &Board, count: &Count) -> Result<Vec<String>> {
    let value = net.value.map_or_else(|| "-".to_owned(), |value| format!("{value:.4}"));
    let mut row = vec![net.trial.to_string(), value, board.core.to_owned()];
    let (estimated, planned) = (shown(net.instructions), shown(net.arena_bytes));
    row.extend(match count {
        Count::TooBig => {
            let nothing = || "-".to_owned();
            ["too big".to_owned(), estimated, nothing(), nothing(), planned, nothing(), nothing(), shown(net.model_bytes)]
        }
        Count::Ran(measurement) => {
            let number = |name: &str| measurement.report.number(name);
            let instructions = number("inference_instructions")?;
            [
                thousands(instructions),
                estimated,
                off_by(net.instructions, instructions),
                thousands(number("arena_bytes")?),
                planned,
                thousands(number("stack_bytes")?),
                thousands(measurement.code_bytes as u64),
                thousands(measurement.model_bytes as u64),
            ]
        }
    });
    Ok(row)
}

fn record(net: &Net, board: &Board, count: &Count) -> Result<Value> {
    let counted = match count {
        Count::Ran(measurement) => measurement.to_json()?,
        Count::TooBig => json!({ "core": board.core, "too_big_for": board.name }),
    };
    let believed = json!({ "instructions": net.instructions, "arena_bytes": net.arena_bytes, "model_bytes": net.model_bytes });
    Ok(json!({ "trial": net.trial, "value": net.value, "counted": counted, "estimated": believed }))
}

/// The page with the table in a section of its own, behind the first facts; one of before is replaced. `None` of a page that is another.
fn with_section(html: &str, titles: &[&str], rows: &[Vec<String>]) -> Option<String> {
    let escape = |text: &str| text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let cells = |kind: &str, cells: &mut dyn Iterator<Item = &str>| -> String {
        cells.map(|cell| format!("<{kind}>{}</{kind}>", escape(cell))).collect()
    };
    let mut section = format!(
        "{BEGIN}<h2>On the emulated device</h2><p>What <code>cargo xtask device-bench --study</code> counted of the winner, and of the nets that none beats, beside \
         what the search estimated before training. The winner comes first; its file has golden samples, which the plan has not.</p>\
         <div class=\"scroll\"><table><tr>{}</tr>",
        cells("th", &mut titles.iter().copied())
    );
    for row in rows {
        let _ = write!(section, "<tr>{}</tr>", cells("td", &mut row.iter().map(String::as_str)));
    }
    section += &format!("</table></div>{END}\n");
    if let Some((before, rest)) = html.split_once(BEGIN) {
        let (_, behind) = rest.split_once(END)?;
        return Some(format!("{before}{section}{}", behind.strip_prefix('\n').unwrap_or(behind)));
    }
    let (before, behind) = html.split_once("<section>")?;
    Some(format!("{before}{section}<section>{behind}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn net(instructions: Option<u64>) -> Net {
        let (path, arena_bytes, model_bytes) = (PathBuf::from("model.samara"), Some(8752), Some(15328));
        Net { trial: 3, value: Some(0.884), path, instructions, arena_bytes, model_bytes }
    }

    #[test]
    fn estimates_stand_beside_what_was_counted() {
        assert_eq!(off_by(Some(1_900), 2_000), "-5.0%");
        assert_eq!(
            (off_by(Some(2_100), 2_000), off_by(None, 2_000), off_by(Some(1), 0)),
            ("+5.0%".into(), "-".into(), "-".into())
        );
        let board = boards::find(BOARD).unwrap();
        let row = row(&net(Some(1_900_000)), board, &Count::TooBig).unwrap();
        assert_eq!(row.len(), titles("val_accuracy").len());
        assert_eq!(row[..5], ["3", "0.8840", "Cortex-M4F", "too big", "1,900,000"].map(str::to_owned));
        let record = record(&net(None), board, &Count::TooBig).unwrap();
        assert_eq!((&record["counted"]["too_big_for"], &record["estimated"]["instructions"]), (&BOARD.into(), &Value::Null));
    }

    #[test]
    fn a_second_count_replaces_the_section() {
        let page = "<main><div>facts</div><section><h2>History</h2></section>\n<section>more</section></main>";
        let once = with_section(page, &["a<b"], &[vec!["1".to_owned()]]).unwrap();
        assert!(
            once.starts_with("<main><div>facts</div><section id=\"counted\">") && once.contains("<th>a&lt;b</th>"),
            "{once}"
        );
        assert!(once.ends_with("</section>\n<section><h2>History</h2></section>\n<section>more</section></main>"), "{once}");
        let twice = with_section(&once, &["a<b"], &[vec!["2".to_owned()]]).unwrap();
        assert_eq!(twice, once.replace("<td>1</td>", "<td>2</td>"));
        assert_eq!(with_section("<html/>", &[], &[]), None);
    }

    #[test]
    fn a_directory_that_is_none_of_a_search_is_refused() {
        let place = tempfile::tempdir().unwrap();
        let refusal = |text: Option<&str>| {
            if let Some(text) = text {
                fs::write(place.path().join(LIST), text).unwrap();
            }
            format!("{:#}", read(place.path()).err().unwrap())
        };
        assert!(refusal(None).contains("it is what `samara tune --out` leaves"));
        assert!(refusal(Some("nets")).contains("is no JSON"));
        for text in ["{}", "{\"objective\": \"x\", \"nets\": []}", "{\"objective\": \"x\", \"nets\": [{\"trial\": 1}]}"] {
            assert!(refusal(Some(text)).ends_with("lists no nets"));
        }
        let text = "{\"objective\": \"val_loss\", \"nets\": [{\"trial\": 1, \"file\": \"model.samara\", \"value\": null, \"instructions\": 7}]}";
        fs::write(place.path().join(LIST), text).unwrap();
        let (objective, nets) = read(place.path()).unwrap();
        assert_eq!((objective.as_str(), nets[0].trial, nets[0].value, nets[0].instructions), ("val_loss", 1, None, Some(7)));
        assert_eq!(nets[0].path, place.path().join("model.samara"));
    }
}
