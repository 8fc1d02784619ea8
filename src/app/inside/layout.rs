//! Where the parts of a whole lie in a rectangle: a squarified treemap. No GTK here.
//!
//! Source: Bruls, Huizing and van Wijk, "Squarified Treemaps", 2000.

/// A rectangle: left, top, width, height.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Area {
    pub x: f64,
    pub y: f64,
    pub width: f64,
    pub height: f64,
}

impl Area {
    /// Without a border of `by` on each side; nothing where it is too small for that.
    pub fn inside(self, by: f64) -> Area {
        Area {
            x: self.x + by,
            y: self.y + by,
            width: (self.width - 2.0 * by).max(0.0),
            height: (self.height - 2.0 * by).max(0.0),
        }
    }

    /// Whether the point lies in it.
    pub fn holds(self, x: f64, y: f64) -> bool {
        (self.x..self.x + self.width).contains(&x) && (self.y..self.y + self.height).contains(&y)
    }
}

/// Divides `whole` among `sizes`: each area is as its size, and as square as can be. The largest
/// lies first, wherever it stands.
pub fn squarified(sizes: &[u64], whole: Area) -> Vec<Area> {
    let mut order: Vec<usize> = (0..sizes.len()).collect();
    order.sort_by_key(|index| std::cmp::Reverse(sizes[*index]));
    let falling: Vec<u64> = order.iter().map(|index| sizes[*index]).collect();
    let nothing = Area {
        width: 0.0,
        height: 0.0,
        ..whole
    };
    let mut areas = vec![nothing; sizes.len()];
    for (index, area) in order.into_iter().zip(of_falling(&falling, whole)) {
        areas[index] = area;
    }
    areas
}

fn of_falling(sizes: &[u64], whole: Area) -> Vec<Area> {
    let sum: u64 = sizes.iter().sum();
    let mut areas = Vec::with_capacity(sizes.len());
    if sum == 0 || whole.width <= 0.0 || whole.height <= 0.0 {
        return areas;
    }
    let scale = whole.width * whole.height / sum as f64;
    let mut rest = whole;
    let mut from = 0;
    while from < sizes.len() {
        let side = rest.width.min(rest.height);
        let mut end = from + 1;
        let mut worst = worst_of(&sizes[from..end], scale, side);
        while end < sizes.len() {
            let next = worst_of(&sizes[from..end + 1], scale, side);
            if next > worst {
                break;
            }
            worst = next;
            end += 1;
        }
        rest = row(&sizes[from..end], scale, rest, &mut areas);
        from = end;
    }
    areas
}

/// How far from square the worst area of a row is that lies along `side`.
fn worst_of(row: &[u64], scale: f64, side: f64) -> f64 {
    let sum = row.iter().sum::<u64>() as f64 * scale;
    let of = |size: u64| {
        let area = size as f64 * scale;
        let thick = sum / side;
        let long = area / thick;
        if area > 0.0 {
            (thick / long).max(long / thick)
        } else {
            1.0
        }
    };
    // The sizes fall: the first and the last are the extremes.
    of(row[0]).max(of(row[row.len() - 1]))
}

/// Puts a row along the shorter side of `rest`; gives what is left of it.
fn row(sizes: &[u64], scale: f64, rest: Area, areas: &mut Vec<Area>) -> Area {
    let sum = sizes.iter().sum::<u64>() as f64 * scale;
    let upright = rest.width >= rest.height;
    let side = if upright { rest.height } else { rest.width };
    let thick = sum / side;
    let mut at = 0.0;
    for size in sizes {
        let long = if sum > 0.0 {
            *size as f64 * scale / thick
        } else {
            0.0
        };
        areas.push(match upright {
            true => Area {
                x: rest.x,
                y: rest.y + at,
                width: thick,
                height: long,
            },
            false => Area {
                x: rest.x + at,
                y: rest.y,
                width: long,
                height: thick,
            },
        });
        at += long;
    }
    match upright {
        true => Area {
            x: rest.x + thick,
            width: (rest.width - thick).max(0.0),
            ..rest
        },
        false => Area {
            y: rest.y + thick,
            height: (rest.height - thick).max(0.0),
            ..rest
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: Area = Area {
        x: 10.0,
        y: 20.0,
        width: 600.0,
        height: 400.0,
    };

    #[test]
    fn the_papers_example() {
        // Figure 4 of the paper: 6 by 4, with 6, 6, 4, 3, 2, 2, 1.
        let whole = Area {
            x: 0.0,
            y: 0.0,
            width: 6.0,
            height: 4.0,
        };
        let areas = squarified(&[6, 6, 4, 3, 2, 2, 1], whole);
        let close = |area: Area, x: f64, y: f64, width: f64, height: f64| {
            let pairs = [
                (area.x, x),
                (area.y, y),
                (area.width, width),
                (area.height, height),
            ];
            pairs.iter().all(|(a, b)| (a - b).abs() < 0.01)
        };
        assert!(close(areas[0], 0.0, 0.0, 3.0, 2.0), "{areas:?}");
        assert!(close(areas[1], 0.0, 2.0, 3.0, 2.0), "{areas:?}");
        assert!(close(areas[2], 3.0, 0.0, 1.71, 2.33), "{areas:?}");
        assert!(close(areas[3], 4.71, 0.0, 1.29, 2.33), "{areas:?}");
    }

    #[test]
    fn areas_are_as_the_sizes_and_do_not_overlap() {
        let sizes = [900, 500, 500, 80, 40, 33, 7, 7, 1, 1, 0, 300];
        let sum: u64 = sizes.iter().sum();
        let areas = squarified(&sizes, WHOLE);
        for (index, (size, area)) in sizes.iter().zip(&areas).enumerate() {
            let wanted = WHOLE.width * WHOLE.height * *size as f64 / sum as f64;
            assert!((area.width * area.height - wanted).abs() < 0.01);
            assert!(area.x >= WHOLE.x - 0.01 && area.y >= WHOLE.y - 0.01);
            assert!(area.x + area.width <= WHOLE.x + WHOLE.width + 0.01);
            assert!(area.y + area.height <= WHOLE.y + WHOLE.height + 0.01);
            let (x, y) = (area.x + area.width / 2.0, area.y + area.height / 2.0);
            let others = areas
                .iter()
                .enumerate()
                .filter(|(other, _)| *other != index);
            assert!(!others.into_iter().any(|(_, other)| other.holds(x, y)));
        }
    }

    #[test]
    fn nothing_to_divide_is_divided_into_nothing() {
        assert!(squarified(&[], WHOLE).is_empty());
        assert!(
            squarified(&[0, 0], WHOLE)
                .iter()
                .all(|area| area.width == 0.0)
        );
        let flat = Area {
            width: 0.0,
            ..WHOLE
        };
        assert_eq!(squarified(&[3, 2], flat).len(), 2);
    }
}
