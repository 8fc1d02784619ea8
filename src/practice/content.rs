//! What files hold: text, office documents, pictures, programs, all made from the seed.

use super::random::Random;
use flate2::Compression;
use flate2::write::{DeflateEncoder, ZlibEncoder};
use std::io::{self, Write};

/// CRC-32 as ZIP and PNG use it.
const CRC32: crc::Crc<u32> = crc::Crc::<u32>::new(&crc::CRC_32_ISO_HDLC);

/// Words of a school day, in the languages of schools that use such sticks.
const WORDS: &[&str] = &[
    "water",
    "river",
    "stone",
    "tree",
    "bird",
    "school",
    "teacher",
    "friend",
    "morning",
    "village",
    "market",
    "music",
    "number",
    "square",
    "circle",
    "story",
    "question",
    "answer",
    "because",
    "before",
    "after",
    "under",
    "over",
    "between",
    "the",
    "and",
    "with",
    "when",
    "where",
    "why",
    "how",
    "many",
    "some",
    "every",
    "small",
    "large",
    "green",
    "yellow",
    "blue",
    "red",
    "write",
    "read",
    "draw",
    "count",
    "measure",
    "plant",
    "grow",
    "rain",
    "sun",
    "moon",
    "star",
    "planet",
    "agua",
    "río",
    "piedra",
    "árbol",
    "pájaro",
    "escuela",
    "maestra",
    "amigo",
    "mañana",
    "pueblo",
    "mercado",
    "número",
    "cuadrado",
    "historia",
    "pregunta",
    "respuesta",
    "porque",
    "antes",
    "después",
    "pequeño",
    "grande",
    "verde",
    "amarillo",
    "azul",
    "rojo",
    "escribir",
    "leer",
    "eau",
    "rivière",
    "arbre",
    "oiseau",
    "école",
    "amie",
    "matin",
    "musique",
    "nombre",
    "carré",
    "cercle",
    "réponse",
    "pourquoi",
    "petit",
    "rouge",
    "lire",
    "compter",
    "soleil",
    "étoile",
    "computer",
    "keyboard",
    "window",
    "folder",
    "file",
    "picture",
    "camera",
    "program",
    "turtle",
];

/// Sentences, about `length` bytes of them.
pub fn text(random: &mut Random, length: usize) -> Vec<u8> {
    let mut out = String::with_capacity(length + 64);
    while out.len() < length {
        let start = out.len();
        for at in 0..random.between(5, 14) {
            let word = *random.choose(WORDS);
            if at > 0 {
                out.push(' ');
            }
            out.push_str(word);
        }
        if let Some(first) = out.get_mut(start..start + 1) {
            first.make_ascii_uppercase();
        }
        out.push_str(if random.below(6) == 0 { ".\n" } else { ". " });
    }
    out.into_bytes()
}

/// Lines as a system log has them, about `length` bytes.
pub fn log(random: &mut Random, length: usize) -> Vec<u8> {
    const SOURCES: &[&str] = &["kernel", "systemd[1]", "NetworkManager[612]", "sugar[1033]"];
    let mut out = Vec::with_capacity(length + 128);
    let mut seconds = 0;
    while out.len() < length {
        seconds += random.below(40);
        let (hours, minutes) = (8 + seconds / 3600 % 12, seconds / 60 % 60);
        let source = random.choose(SOURCES);
        let head = format!(
            "Sep 02 {hours:02}:{minutes:02}:{:02} localhost {source}: ",
            seconds % 60
        );
        out.extend_from_slice(head.as_bytes());
        out.extend_from_slice(text(random, 40).trim_ascii_end());
        out.push(b'\n');
    }
    out
}

/// What a program or a library looks like to a compressor: an ELF header, then
/// a small stock of instructions with different operands.
pub fn program(random: &mut Random, length: usize) -> Vec<u8> {
    let stock: Vec<u64> = (0..256).map(|_| random.next()).collect();
    let mut out = Vec::with_capacity(length + 16);
    out.extend_from_slice(b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x03\0\x3e\0\x01\0\0\0");
    while out.len() < length {
        let draw = random.next();
        let code = stock[(draw & 0xff) as usize].to_le_bytes();
        let keep = 4 + (draw >> 8 & 3) as usize;
        out.extend_from_slice(&code[..keep]);
        if draw >> 10 & 3 == 0 {
            out.extend_from_slice(&draw.to_le_bytes()[4..6]);
        }
    }
    out.truncate(length);
    out
}

/// A photo: JFIF at both ends, noise between, as entropy-coded data is to a compressor.
pub fn photo(random: &mut Random, length: usize) -> Vec<u8> {
    const HEAD: &[u8] = b"\xff\xd8\xff\xe0\0\x10JFIF\0\x01\x01\0\0\x01\0\x01\0\0";
    let mut out = HEAD.to_vec();
    let body = out.len();
    out.resize(length.max(body + 2), 0);
    random.fill(&mut out[body..]);
    // A marker inside entropy-coded data is stuffed; without 0xff there is none to stuff.
    for byte in &mut out[body..] {
        if *byte == 0xff {
            *byte = 0xfe;
        }
    }
    let end = out.len() - 2;
    out[end..].copy_from_slice(b"\xff\xd9");
    out
}

/// A drawing as a PNG file that any viewer shows: rectangles on a sheet.
pub fn drawing(random: &mut Random, width: u32, height: u32) -> io::Result<Vec<u8>> {
    let (columns, rows) = (width as usize, height as usize);
    let mut pixels = vec![0xff_u8; columns * rows * 3];
    for _ in 0..random.between(12, 30) {
        let (left, top) = (random.below(columns as u64), random.below(rows as u64));
        let right = (left + random.between(8, 160)).min(columns as u64);
        let bottom = (top + random.between(8, 120)).min(rows as u64);
        let colour = random.next().to_le_bytes();
        for row in top..bottom {
            let start = (row as usize * columns + left as usize) * 3;
            let length = (right - left) as usize * 3;
            for pixel in pixels[start..start + length].chunks_exact_mut(3) {
                // A grain, as a brush leaves it; without it a drawing would take no room.
                let grain = (random.next() & 7) as u8;
                pixel[0] = colour[0].saturating_sub(grain);
                pixel[1] = colour[1].saturating_sub(grain);
                pixel[2] = colour[2].saturating_sub(grain);
            }
        }
    }
    png(&pixels, width, height)
}

/// PNG, third edition: signature, header, one run of data, end.
fn png(pixels: &[u8], width: u32, height: u32) -> io::Result<Vec<u8>> {
    let mut data = ZlibEncoder::new(Vec::new(), Compression::fast());
    for row in pixels.chunks_exact(width as usize * 3) {
        data.write_all(&[0])?;
        data.write_all(row)?;
    }
    let data = data.finish()?;
    let mut header = Vec::new();
    header.extend_from_slice(&width.to_be_bytes());
    header.extend_from_slice(&height.to_be_bytes());
    header.extend_from_slice(&[8, 2, 0, 0, 0]);
    let mut out = b"\x89PNG\r\n\x1a\n".to_vec();
    for (kind, body) in [(b"IHDR", &header), (b"IDAT", &data), (b"IEND", &Vec::new())] {
        let length = u32::try_from(body.len()).map_err(io::Error::other)?;
        out.extend_from_slice(&length.to_be_bytes());
        let start = out.len();
        out.extend_from_slice(kind);
        out.extend_from_slice(body);
        let sum = CRC32.checksum(&out[start..]);
        out.extend_from_slice(&sum.to_be_bytes());
    }
    Ok(out)
}

/// An OpenDocument text with `words` bytes of text and, perhaps, a picture in it.
pub fn document(random: &mut Random, words: usize, picture: Option<&[u8]>) -> io::Result<Vec<u8>> {
    const HEAD: &str = concat!(
        r#"<?xml version="1.0" encoding="UTF-8"?><office:document-content "#,
        r#"xmlns:office="urn:oasis:names:tc:opendocument:xmlns:office:1.0" "#,
        r#"xmlns:text="urn:oasis:names:tc:opendocument:xmlns:text:1.0" office:version="1.2">"#,
        r#"<office:body><office:text>"#,
    );
    let mut content = HEAD.as_bytes().to_vec();
    for paragraph in text(random, words).split(|byte| *byte == b'\n') {
        content.extend_from_slice(b"<text:p>");
        content.extend_from_slice(paragraph);
        content.extend_from_slice(b"</text:p>");
    }
    content.extend_from_slice(b"</office:text></office:body></office:document-content>");
    let mut manifest = concat!(
        r#"<?xml version="1.0" encoding="UTF-8"?>"#,
        r#"<manifest:manifest xmlns:manifest="urn:oasis:names:tc:opendocument:xmlns:manifest:1.0" "#,
        r#"manifest:version="1.2"><manifest:file-entry manifest:full-path="/" "#,
        r#"manifest:media-type="application/vnd.oasis.opendocument.text"/>"#,
        r#"<manifest:file-entry manifest:full-path="content.xml" manifest:media-type="text/xml"/>"#,
    )
    .as_bytes()
    .to_vec();
    if picture.is_some() {
        manifest.extend_from_slice(
            br#"<manifest:file-entry manifest:full-path="Pictures/1.jpg" manifest:media-type="image/jpeg"/>"#,
        );
    }
    manifest.extend_from_slice(b"</manifest:manifest>");
    let mut zip = Zip::default();
    // First and uncompressed, so that file(1) and the desktop know the kind (OpenDocument 1.2, part 3).
    zip.add(
        "mimetype",
        b"application/vnd.oasis.opendocument.text",
        false,
    )?;
    zip.add("content.xml", &content, true)?;
    if let Some(picture) = picture {
        zip.add("Pictures/1.jpg", picture, false)?;
    }
    zip.add("META-INF/manifest.xml", &manifest, true)?;
    zip.finish()
}

/// A ZIP archive being written (APPNOTE 6.3: local headers, then the directory).
#[derive(Default)]
struct Zip {
    bytes: Vec<u8>,
    directory: Vec<u8>,
    entries: u16,
}

impl Zip {
    fn add(&mut self, name: &str, content: &[u8], deflate: bool) -> io::Result<()> {
        let mut stored = content.to_vec();
        if deflate {
            let mut encoder = DeflateEncoder::new(Vec::new(), Compression::fast());
            encoder.write_all(content)?;
            stored = encoder.finish()?;
        }
        let size = |length: usize| u32::try_from(length).map_err(io::Error::other);
        let offset = size(self.bytes.len())?;
        let name_length = u16::try_from(name.len()).map_err(io::Error::other)?;
        // Version 2.0, no flags, method, 2024-09-02 09:00, sum, sizes, name.
        let mut common = vec![20, 0, 0, 0, if deflate { 8 } else { 0 }, 0];
        common.extend_from_slice(&0x4800_u16.to_le_bytes());
        common.extend_from_slice(&0x5922_u16.to_le_bytes());
        common.extend_from_slice(&CRC32.checksum(content).to_le_bytes());
        common.extend_from_slice(&size(stored.len())?.to_le_bytes());
        common.extend_from_slice(&size(content.len())?.to_le_bytes());
        common.extend_from_slice(&name_length.to_le_bytes());
        common.extend_from_slice(&[0, 0]);
        self.bytes.extend_from_slice(b"PK\x03\x04");
        self.bytes.extend_from_slice(&common);
        self.bytes.extend_from_slice(name.as_bytes());
        self.bytes.extend_from_slice(&stored);
        self.directory.extend_from_slice(b"PK\x01\x02\x14\0");
        self.directory.extend_from_slice(&common);
        // Comment, disk, attributes: all 0.
        self.directory.extend_from_slice(&[0; 10]);
        self.directory.extend_from_slice(&offset.to_le_bytes());
        self.directory.extend_from_slice(name.as_bytes());
        self.entries += 1;
        Ok(())
    }

    fn finish(mut self) -> io::Result<Vec<u8>> {
        let size = |length: usize| u32::try_from(length).map_err(io::Error::other);
        let (start, length) = (size(self.bytes.len())?, size(self.directory.len())?);
        self.bytes.append(&mut self.directory);
        self.bytes.extend_from_slice(b"PK\x05\x06\0\0\0\0");
        self.bytes.extend_from_slice(&self.entries.to_le_bytes());
        self.bytes.extend_from_slice(&self.entries.to_le_bytes());
        self.bytes.extend_from_slice(&length.to_le_bytes());
        self.bytes.extend_from_slice(&start.to_le_bytes());
        self.bytes.extend_from_slice(&[0, 0]);
        Ok(self.bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    fn random() -> Random {
        Random::new(1, "content")
    }

    #[test]
    fn the_wanted_lengths() {
        for length in [0, 1, 1000, 70_000] {
            assert!((length..length + 200).contains(&text(&mut random(), length).len()));
            assert!((length..length + 200).contains(&log(&mut random(), length).len()));
            assert_eq!(program(&mut random(), length).len(), length);
            assert_eq!(photo(&mut random(), length).len(), length.max(22));
        }
        assert!(std::str::from_utf8(&text(&mut random(), 5000)).is_ok());
    }

    #[test]
    fn a_document_is_a_zip_that_others_open() {
        let picture = photo(&mut random(), 3000);
        let zip = document(&mut random(), 5000, Some(&picture)).unwrap();
        assert_eq!(&zip[30..38], b"mimetype");
        let place = tempfile::tempdir().unwrap();
        std::fs::write(place.path().join("a.odt"), &zip).unwrap();
        let judge = "import zipfile,sys; z=zipfile.ZipFile('a.odt'); assert z.testzip() is None; print(*z.namelist())";
        let judged = Command::new("python3")
            .args(["-c", judge])
            .current_dir(&place)
            .output();
        let Ok(judged) = judged else {
            eprintln!("SKIPPED: no python3 to judge the archive");
            return;
        };
        let names = String::from_utf8_lossy(&judged.stdout).into_owned();
        let want = "mimetype content.xml Pictures/1.jpg META-INF/manifest.xml\n";
        assert_eq!(names, want, "{}", String::from_utf8_lossy(&judged.stderr));
    }

    #[test]
    fn a_drawing_holds_its_pixels() {
        let png = drawing(&mut random(), 320, 240).unwrap();
        assert_eq!(&png[..8], b"\x89PNG\r\n\x1a\n");
        let length = u32::from_be_bytes(png[33..37].try_into().unwrap()) as usize;
        let mut pixels = Vec::new();
        let mut decoder = flate2::read::ZlibDecoder::new(&png[41..41 + length]);
        io::Read::read_to_end(&mut decoder, &mut pixels).unwrap();
        assert_eq!(pixels.len(), (320 * 3 + 1) * 240);
        assert!(png.ends_with(b"IEND\xae\x42\x60\x82"));
    }
}
