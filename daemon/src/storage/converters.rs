//! What installed programs make of contents that we do not read ourselves: pictures of films, documents and new
//! picture formats, and the text of documents.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::Duration;

use nix::sys::memfd::{MFdFlags, memfd_create};

use super::pictures::Wish;
use super::sandbox::{Excess, INPUT, Job, OURSELVES, SandboxError, run, run_into};

/// Address space of a program; most of it is what libraries reserve and never use.
const MEMORY_BYTES: u64 = 1024 * 1024 * 1024;
const CPU_S: u64 = 60;
/// Long, because the box may be busy, and nobody waits.
const PATIENCE: Duration = Duration::from_mins(2);
/// A large photograph as a JPEG of high quality.
const PICTURE_BYTES: usize = 64 * 1024 * 1024;

/// Makes a program's output look like a file with an ending to it: the programs of libheif tell by the ending of its
/// name what they are to write.
const OUTPUT_LINK: &str = "picture.jpg";

/// The first argument by which this program becomes the reader of one picture; see `pictures.rs`.
pub(crate) const PICTURE_ARGUMENT: &str = "__picture";

/// Address space of the reader of pictures: the decoded one and what is made of it.
const READER_MEMORY_BYTES: u64 = 2 * 1024 * 1024 * 1024;

/// What both older and newer versions of libheif call their program.
const HEIF_PROGRAMS: [&str; 2] = ["heif-dec", "heif-convert"];

/// The first picture of a film, turned as it is to be seen, with no side longer than that. A BMP.
pub(crate) fn film_picture(film: File, side: u32, stop: &dyn Fn() -> bool) -> Result<Vec<u8>, SandboxError> {
    let input = format!("file:{INPUT}");
    let scale = format!("scale='min({side},iw)':'min({side},ih)':force_original_aspect_ratio=decrease");
    let arguments = [
        "-nostdin",
        "-v",
        "quiet",
        "-protocol_whitelist",
        "file,pipe",
        "-threads",
        "1",
        "-i",
        &input,
        "-an",
        "-sn",
        "-dn",
        "-map_metadata",
        "-1",
        "-frames:v",
        "1",
        "-vf",
        &scale,
        "-pix_fmt",
        "bgr24",
        "-c:v",
        "bmp",
        "-f",
        "image2pipe",
        "pipe:1",
    ];
    run(job("ffmpeg", &arguments, film), stop)
}

/// The first page of a PDF, with its longer side of that length. A PNG.
pub(crate) fn pdf_picture(document: File, side: u32, stop: &dyn Fn() -> bool) -> Result<Vec<u8>, SandboxError> {
    let side = side.to_string();
    let arguments = ["-q", "-f", "1", "-l", "1", "-singlefile", "-scale-to", &side, "-png", INPUT];
    run(job("pdftoppm", &arguments, document), stop)
}

/// A HEIF or AVIF picture, turned as it is to be seen. A JPEG. `directory` is ours, and holds no contents.
pub(crate) fn heif_picture(picture: &File, directory: &Path, stop: &dyn Fn() -> bool) -> Result<Vec<u8>, SandboxError> {
    let link = directory.join(OUTPUT_LINK);
    match symlink("/proc/self/fd/1", &link) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error.into()),
        _ => {}
    }
    let arguments = ["-q", "92", INPUT, link.to_str().unwrap_or_default()];
    let mut result = Err(SandboxError::NotInstalled(HEIF_PROGRAMS.join(" or ")));
    for program in HEIF_PROGRAMS {
        result = run(job(program, &arguments, picture.try_clone()?), stop);
        if !matches!(result, Err(SandboxError::NotInstalled(_))) {
            return result.map(from_start_of_jpeg);
        }
    }
    result
}

/// Without what the program had to say on the same output before.
fn from_start_of_jpeg(mut output: Vec<u8>) -> Vec<u8> {
    let start = output.windows(3).position(|three| three == [0xff, 0xd8, 0xff]);
    output.split_off(start.unwrap_or(0))
}

/// Serves a wish about a picture in a format that we know, in a confined process of our own. What it makes goes to
/// `sink`, in pieces.
pub(crate) fn picture(
    picture: File,
    wish: Wish,
    sink: &mut dyn FnMut(&[u8]) -> io::Result<()>,
    stop: &dyn Fn() -> bool,
) -> Result<(), SandboxError> {
    let arguments = wish.arguments();
    let [word, first, second] = arguments.each_ref().map(String::as_str);
    let arguments = [PICTURE_ARGUMENT, word, first, second];
    let job = Job { memory_bytes: READER_MEMORY_BYTES, output_bytes: 1 << 30, ..job(OURSELVES, &arguments, picture) };
    run_into(job, sink, stop)
}

/// An empty file that lies in memory alone.
pub(crate) fn memory_file() -> io::Result<File> {
    Ok(memfd_create("picture", MFdFlags::MFD_CLOEXEC)?.into())
}

/// The text of a PDF, of which the rest is left out when it is longer than that.
pub(crate) fn pdf_text(document: File, limit_bytes: usize, stop: &dyn Fn() -> bool) -> Result<String, SandboxError> {
    let arguments = ["-q", "-enc", "UTF-8", "-nopgbrk", INPUT, "-"];
    let job = Job { output_bytes: limit_bytes, excess: Excess::Cut, ..job("pdftotext", &arguments, document) };
    Ok(String::from_utf8_lossy(&run(job, stop)?).into_owned())
}

fn job<'a>(program: &'a str, arguments: &'a [&'a str], input: File) -> Job<'a> {
    Job {
        program,
        arguments,
        input,
        memory_bytes: MEMORY_BYTES,
        cpu_s: CPU_S,
        patience: PATIENCE,
        output_bytes: PICTURE_BYTES,
        excess: Excess::Refuse,
    }
}
