//! Downloads that survive interruption: the file grows beside its place, is verified, flushed to disk, and only then renamed.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use sha2::{Digest, Sha256};
use ureq::http::{Response, StatusCode, header};

use super::{SourceError, idx};

/// A file to be downloaded.
#[derive(Debug, Clone, Copy)]
pub(super) struct Remote<'a> {
    /// Where from, `http://...`.
    pub address: &'a str,
    /// SHA-256 of the uncompressed content, in hexadecimal digits: a server may compress anew.
    pub content_sha256: &'a str,
    /// The largest file that is accepted, in bytes.
    pub limit: u64,
}

/// Downloads a file to `path`, unless it is there. What an interrupted download left is continued.
///
/// # Errors
/// If the server cannot be reached, has no such file, or sends too little, too much or something else; if the file cannot be
/// written. `path` is then not there.
pub(super) fn download(remote: Remote<'_>, path: &Path) -> Result<(), SourceError> {
    let mut partial_path = path.as_os_str().to_owned();
    partial_path.push(".partial");
    let partial_path = Path::new(&partial_path);
    let written = |error| SourceError::written(partial_path, error);
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory).map_err(|error| SourceError::written(directory, error))?;
    }
    // Two processes that want the same file: the second one waits, then finds it.
    let mut partial = OpenOptions::new().read(true).append(true).create(true).open(partial_path).map_err(written)?;
    partial.lock().map_err(written)?;
    if path.exists() {
        if partial.metadata().is_ok_and(|metadata| metadata.len() == 0) {
            let _ = fs::remove_file(partial_path);
        }
        return Ok(());
    }
    receive(remote, &mut partial, partial_path)?;
    let content = idx::content(partial_path);
    let found = content.as_ref().map(|content| hexadecimal(&Sha256::digest(content)));
    if found.as_ref().is_ok_and(|found| found == remote.content_sha256) {
        partial.sync_all().map_err(written)?;
        return fs::rename(partial_path, path).map_err(|error| SourceError::written(path, error));
    }
    // What is wrong now would be wrong for ever, were it continued.
    fs::remove_file(partial_path).map_err(written)?;
    let reason = match found {
        Ok(found) => format!("the SHA-256 of its content is {found}, expected {}", remote.content_sha256),
        Err(_) => "what came is no intact gzip file".to_owned(),
    };
    Err(SourceError::Download { address: remote.address.to_owned(), reason })
}

/// Appends what `partial` lacks.
fn receive(remote: Remote<'_>, partial: &mut File, partial_path: &Path) -> Result<(), SourceError> {
    let failed = |reason: String| SourceError::Download { address: remote.address.to_owned(), reason };
    let written = |error| SourceError::written(partial_path, error);
    let mut start = partial.seek(SeekFrom::End(0)).map_err(written)?;
    let mut response = request(remote.address, start).map_err(|error| failed(reason_of(&error)))?;
    if start > 0 && response.status() != StatusCode::PARTIAL_CONTENT {
        // The server cannot continue, or what is here is no part of the file.
        partial.set_len(0).map_err(written)?;
        start = 0;
        if !response.status().is_success() {
            response = request(remote.address, 0).map_err(|error| failed(reason_of(&error)))?;
        }
    }
    if !response.status().is_success() {
        return Err(failed(format!("the server answers {}", response.status())));
    }
    let promised = response.headers().get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    let expected = promised.map(|length| start + length);

    let progress = progress_bar(remote.address, expected);
    progress.set_position(start);
    let mut body = response.body_mut().as_reader();
    let mut block = vec![0; 1 << 16];
    let mut length = start;
    loop {
        let count = match body.read(&mut block) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => {
                let expected = expected.map(|expected| format!(" of {expected}")).unwrap_or_default();
                return Err(failed(format!(
                    "the connection broke after {length}{expected} bytes ({error}); run it again to continue"
                )));
            }
        };
        length += count as u64;
        if length > remote.limit {
            partial.set_len(0).map_err(written)?;
            return Err(failed(format!("it is longer than {} bytes, the most that this file can have", remote.limit)));
        }
        partial.write_all(&block[..count]).map_err(written)?;
        progress.set_position(length);
    }
    progress.finish_and_clear();
    if let Some(expected) = expected.filter(|&expected| expected != length) {
        return Err(failed(format!("it ended after {length} of {expected} bytes; run it again to continue")));
    }
    Ok(())
}

/// Asks for a file from byte `start` on.
fn request(address: &str, start: u64) -> Result<Response<ureq::Body>, ureq::Error> {
    let mut config = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .timeout_connect(Some(Duration::from_secs(30)))
        .timeout_recv_response(Some(Duration::from_secs(60)))
        .timeout_recv_body(Some(Duration::from_secs(1800)));
    if address.starts_with("http://127.0.0.1:") {
        // No proxy leads to this machine.
        config = config.proxy(None);
    }
    let agent = config.build().new_agent();
    let request = agent.get(address);
    if start > 0 { request.header("Range", format!("bytes={start}-")).call() } else { request.call() }
}

fn reason_of(error: &ureq::Error) -> String {
    match error {
        ureq::Error::HostNotFound => "the server's name is not known: is this machine connected?".to_owned(),
        ureq::Error::Io(error) => format!("the server cannot be reached ({error})"),
        other => other.to_string(),
    }
}

/// A bar on stderr, if that is a terminal.
fn progress_bar(address: &str, bytes: Option<u64>) -> ProgressBar {
    let bar = ProgressBar::new(bytes.unwrap_or(0));
    let style = ProgressStyle::with_template("{msg} {bar:30} {bytes}/{total_bytes} {bytes_per_sec} {eta}");
    let name = address.rsplit('/').next().unwrap_or(address).to_owned();
    bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar())).with_message(name)
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead, BufReader};
    use std::net::TcpListener;
    use std::path::PathBuf;
    use std::thread::{self, JoinHandle};

    const CONTENT: &[u8] = b"the quick brown fox";
    const SHA256: &str = "9ecb36561341d18eb65484e833efea61edc74b84cf5e6ae1b81c63533e25fc8f";

    /// A server that gives one answer after another; returns its address and, when joined, the requests' `Range` headers.
    fn serve(answers: Vec<Vec<u8>>) -> (String, JoinHandle<Vec<Option<String>>>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}/file", listener.local_addr().unwrap());
        let thread = thread::spawn(move || {
            let answer = |answer: Vec<u8>| {
                let (mut stream, _) = listener.accept().unwrap();
                let lines = BufReader::new(stream.try_clone().unwrap()).lines().map(Result::unwrap);
                let request: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
                stream.write_all(&answer).unwrap();
                request.iter().find_map(|line| line.to_lowercase().strip_prefix("range: ").map(str::to_owned))
            };
            answers.into_iter().map(answer).collect()
        });
        (address, thread)
    }

    fn answer(status: &str, length: usize, body: &[u8]) -> Vec<u8> {
        let head = format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
        [head.as_bytes(), body].concat()
    }

    fn fetch(address: &str, path: &Path) -> Result<(), String> {
        let remote = Remote { address, content_sha256: SHA256, limit: 1000 };
        download(remote, path).map_err(|error| error.to_string())
    }

    fn place() -> (tempfile::TempDir, PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("cache/file");
        (directory, path)
    }

    fn names(path: &Path) -> Vec<String> {
        let entries = fs::read_dir(path.parent().unwrap()).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn a_whole_file_arrives_and_nothing_else_stays() {
        let (_directory, path) = place();
        let (address, server) = serve(vec![answer("200 OK", CONTENT.len(), CONTENT)]);
        fetch(&address, &path).unwrap();
        assert_eq!(fs::read(&path).unwrap(), CONTENT);
        assert_eq!(names(&path), ["file"]);
        assert_eq!(server.join().unwrap(), [None]);
        fetch("http://127.0.0.1:1/file", &path).expect("a file that is there needs no server");
        assert_eq!(names(&path), ["file"]);
    }

    #[test]
    fn a_broken_download_is_continued() {
        let (_directory, path) = place();
        let (address, server) = serve(vec![
            answer("200 OK", CONTENT.len(), &CONTENT[..7]),
            answer("206 Partial Content", CONTENT.len() - 7, &CONTENT[7..]),
        ]);
        let message = fetch(&address, &path).unwrap_err();
        assert!(message.starts_with(&address) && message.contains("7 of 19 bytes"), "{message}");
        assert!(!path.exists());
        fetch(&address, &path).unwrap();
        assert_eq!(fs::read(&path).unwrap(), CONTENT);
        assert_eq!(server.join().unwrap(), [None, Some("bytes=7-".to_owned())]);
    }

    #[test]
    fn a_server_that_cannot_continue_starts_again() {
        let (_directory, path) = place();
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path.with_extension("partial"), "the quick").unwrap();
        let (address, _server) = serve(vec![answer("200 OK", CONTENT.len(), CONTENT)]);
        fetch(&address, &path).unwrap();
        assert_eq!(fs::read(&path).unwrap(), CONTENT);
        // A partial file as long as the whole: the server refuses the range.
        let (_directory, path) = place();
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path.with_extension("partial"), "something else altogether").unwrap();
        let (address, server) =
            serve(vec![answer("416 Range Not Satisfiable", 0, b""), answer("200 OK", CONTENT.len(), CONTENT)]);
        fetch(&address, &path).unwrap();
        assert_eq!(server.join().unwrap(), [Some("bytes=25-".to_owned()), None]);
    }

    #[test]
    fn a_wrong_content_is_thrown_away() {
        let (_directory, path) = place();
        let (address, _server) = serve(vec![answer("200 OK", 5, b"wrong")]);
        let message = fetch(&address, &path).unwrap_err();
        assert!(
            message.contains(
                "the SHA-256 of its content is 8810ad581e59f2bc3928b261707a71308f7e139eb04820366dc4d5c18d980225, expected 9ecb"
            ),
            "{message}"
        );
        assert!(names(&path).is_empty(), "neither the file nor a part stays");
    }

    #[test]
    fn errors_of_the_server_are_told() {
        let (_directory, path) = place();
        let (address, _server) = serve(vec![answer("404 Not Found", 4, b"none"), answer("200 OK", 2000, &[0; 2000])]);
        assert_eq!(
            fetch(&address, &path).unwrap_err(),
            format!("{address} cannot be downloaded: the server answers 404 Not Found")
        );
        let message = fetch(&address, &path).unwrap_err();
        assert!(message.contains("longer than 1000 bytes"), "{message}");
        let message = fetch("http://127.0.0.1:1/file", &path).unwrap_err();
        assert!(message.contains("cannot be reached"), "{message}");
        assert!(!path.exists());
    }
}
