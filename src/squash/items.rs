//! The old image's data from front to back, as a list of what is to be done with each part.

use super::changes::{Changes, Fate};
use super::read::Image;
use super::recode::Work;
use super::survey::{Piece, Survey};
use crate::error::Result;
use std::collections::VecDeque;
use std::ops::Range;

/// A part of the data that is not simply copied.
#[derive(Debug)]
pub enum Span {
    /// The inner file's own blocks.
    Inner(Range<u64>),
    /// Some other block.
    Piece(Piece),
}

impl Span {
    /// Where it lies in the old image.
    pub fn old(&self) -> Range<u64> {
        match self {
            Span::Inner(extent) => extent.clone(),
            Span::Piece(piece) => piece.extent.clone(),
        }
    }
}

/// The spans in the order of their places. All else between them is copied, or, where everything
/// is compressed anew, belongs to nobody and is left out.
pub fn spans(
    image: &Image,
    changes: &dyn Changes,
    survey: &Survey,
    recodes: bool,
) -> Result<Vec<Span>> {
    let last = image.blocks().saturating_sub(1);
    let changed = image
        .inner
        .tail
        .filter(|_| changes.fate(last) != Fate::Keep);
    let pieces = survey.pieces(image, recodes, changed.map(|tail| tail.fragment))?;
    let mut spans: Vec<Span> = pieces.into_iter().map(Span::Piece).collect();
    let mut inner = image.inner.file.extent();
    if inner.is_empty() {
        // All holes: what begins to be stored goes behind all else.
        inner = image.shared.data.end..image.shared.data.end;
    }
    let place = spans.partition_point(|span| span.old().start < inner.start);
    spans.insert(place, Span::Inner(inner));
    Ok(spans)
}

/// What is to be written next.
#[derive(Debug)]
pub enum Item {
    /// Stored bytes of the old image.
    Copy(Range<u64>),
    /// A span begins.
    Open,
    /// A block that is compressed anew.
    Work(Work),
    /// Block `index` of the inner file becomes a hole.
    Hole(usize),
    /// A span ends.
    Close(Range<u64>, bool),
}

/// Goes through the old image's data, and tells item by item.
pub struct Items<'a> {
    image: &'a Image,
    changes: &'a dyn Changes,
    recodes: bool,
    spans: std::vec::IntoIter<Span>,
    /// The inner file's span, and the next block.
    span: Option<(Range<u64>, usize)>,
    /// Everything before is told.
    at: u64,
    queue: VecDeque<Item>,
}

impl Iterator for Items<'_> {
    type Item = Item;

    fn next(&mut self) -> Option<Item> {
        loop {
            if let Some(item) = self.queue.pop_front() {
                return Some(item);
            }
            match self.span.take() {
                Some((extent, index)) => self.inner(extent, index),
                None => self.open()?,
            }
        }
    }
}

impl<'a> Items<'a> {
    /// Of an image with these spans.
    pub fn new(
        image: &'a Image,
        changes: &'a dyn Changes,
        spans: Vec<Span>,
        recodes: bool,
    ) -> Items<'a> {
        Items {
            image,
            changes,
            recodes,
            spans: spans.into_iter(),
            span: None,
            at: image.shared.data.start,
            queue: VecDeque::new(),
        }
    }

    /// The next span, and what is before it; nothing at the end.
    fn open(&mut self) -> Option<()> {
        let end = self.image.shared.data.end;
        let span = self.spans.next();
        if span.is_none() && self.at == end {
            return None;
        }
        let until = span.as_ref().map_or(end, |span| span.old().start);
        if !self.recodes && self.at < until {
            self.queue.push_back(Item::Copy(self.at..until));
        }
        self.at = until;
        if span.is_some() {
            self.queue.push_back(Item::Open);
        }
        match span {
            Some(Span::Inner(extent)) => self.span = Some((extent, 0)),
            Some(Span::Piece(piece)) => {
                self.at = piece.extent.end;
                let extent = piece.extent.clone();
                self.queue.push_back(Item::Work(Work::Piece(piece)));
                self.queue.push_back(Item::Close(extent, false));
            }
            None => {}
        }
        Some(())
    }

    /// The inner file's block `index`, or its end.
    fn inner(&mut self, extent: Range<u64>, index: usize) {
        let Some(word) = self.image.inner.file.words.get(index) else {
            self.at = extent.end;
            self.queue.push_back(Item::Close(extent, true));
            return;
        };
        let next = self.at + u64::from(word.bytes());
        // A hole's place is the same as the next block's, and nothing is copied for it.
        match self.changes.fate(index as u64) {
            Fate::Keep if word.is_hole() => {}
            Fate::Keep if !self.recodes => self.queue.push_back(Item::Copy(self.at..next)),
            Fate::Hole if word.is_hole() => {}
            Fate::Hole => self.queue.push_back(Item::Hole(index)),
            Fate::Keep => self.work(index, false),
            Fate::Change => self.work(index, true),
        }
        if !extent.is_empty() {
            self.at = next;
        }
        self.span = Some((extent, index + 1));
    }

    fn work(&mut self, index: usize, change: bool) {
        let work = Work::Inner {
            index: index as u64,
            change,
        };
        self.queue.push_back(Item::Work(work));
    }
}
