//! Days by their numbers.

/// A date's number: days since 1970-01-01. (The calendar in years that begin in March, so that the leap day is the
/// last.)
pub const fn day(year: i32, month: i32, day: i32) -> i32 {
    let year = if month <= 2 { year - 1 } else { year };
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    365 * year + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + of_year - 719_468
}

/// A day's year, month and day of the month: the one whose number it is.
pub fn date(number: i32) -> (i32, i32, i32) {
    let year = (1970..).take_while(|year| day(*year, 1, 1) <= number).last().unwrap_or(1970);
    let month = (1..=12).take_while(|month| day(year, *month, 1) <= number).last().unwrap_or(1);
    (year, month, number - day(year, month, 1) + 1)
}

pub fn month(number: i32) -> i32 {
    let (year, month, _) = date(number);
    12 * year + month
}
