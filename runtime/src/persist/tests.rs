#![allow(clippy::indexing_slicing, clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::{format, ops::Range, println, vec, vec::Vec};

use proptest::prelude::*;

use super::{
    Generation, Part, PersistError, Store,
    mock::{Cut, MockFlash},
    working_bytes,
};

const MODEL: u64 = 0x0123_4567_89ab_cdef;
const HEAD: u8 = 1;
const SUMS: u8 = 2;
const REPLAY: u8 = 3;
const COUNTERS: u8 = 4;

/// What a device has learnt: bytes by kind.
type State = Vec<(u8, Vec<u8>)>;

fn bytes(seed: usize, length: usize) -> Vec<u8> {
    (0..length).map(|i| ((i * 31 + seed * 97) ^ (i >> 3)) as u8).collect()
}

/// A head of some classes, after some lessons.
fn state(classes: usize, lessons: usize) -> State {
    vec![
        (HEAD, bytes(lessons, classes * 4 * 33)),
        (SUMS, bytes(lessons + 1, classes * 128 + 600)),
        (REPLAY, bytes(lessons + 2, (lessons * 64).min(900))),
        (COUNTERS, bytes(lessons + 3, 12)),
    ]
}

fn save<F: embedded_storage::nor_flash::NorFlash>(store: &mut Store<'_, F>, state: &State) -> Result<u32, PersistError> {
    // Each part in two slices, cut where no chunk is.
    let halves: Vec<[&[u8]; 2]> = state.iter().map(|(_, bytes)| bytes.split_at(bytes.len() / 3).into()).collect();
    let parts: Vec<Part<'_>> = state.iter().zip(&halves).map(|(&(kind, _), slices)| Part { kind, slices }).collect();
    store.save(&parts, 900)
}

fn loaded<F: embedded_storage::nor_flash::NorFlash>(store: &mut Store<'_, F>) -> Result<State, PersistError> {
    [HEAD, SUMS, REPLAY, COUNTERS]
        .into_iter()
        .map(|kind| {
            let mut into = vec![0; 8192];
            let length = store.load(kind, &mut into)?;
            into.truncate(length);
            Ok((kind, into))
        })
        .collect()
}

/// Opens a store over all of a flash of a model, and does something with it.
fn with<const WORD: usize, const PAGE: usize, T>(
    flash: &mut MockFlash<WORD, PAGE>,
    owner: u64,
    act: impl FnOnce(&mut Store<'_, &mut MockFlash<WORD, PAGE>>) -> T,
) -> T {
    let size = flash.bytes.len();
    let mut working = vec![0xaa; working_bytes(size / PAGE)];
    act(&mut Store::open(flash, 0..size as u32, owner, &mut working).unwrap())
}

fn numbers<F: embedded_storage::nor_flash::NorFlash>(store: &mut Store<'_, F>) -> Vec<u32> {
    let mut list = [Generation::default(); 16];
    let count = store.generations(&mut list).unwrap();
    list[..count].iter().map(|generation| generation.number).collect()
}

#[test]
fn what_is_saved_is_loaded_after_a_restart() {
    let mut flash = MockFlash::<4>::new(8);
    with(&mut flash, MODEL, |store| {
        assert_eq!(store.current(), Err(PersistError::NothingStored));
        assert_eq!(save(store, &state(3, 1)), Ok(1));
        assert_eq!(loaded(store), Ok(state(3, 1)));
    });
    with(&mut flash, MODEL, |store| {
        assert_eq!(store.current(), Ok(1));
        assert_eq!(loaded(store), Ok(state(3, 1)));
        assert_eq!(save(store, &state(4, 2)), Ok(2));
        let mut list = [Generation::default(); 1];
        assert_eq!(store.generations(&mut list), Ok(2), "both are counted, one is listed");
        let bytes = state(4, 2).iter().map(|(_, bytes)| bytes.len() as u32).sum();
        assert_eq!(list[0], Generation { number: 2, tag: 900, bytes, pages: 1, current: true });
        let mut head = [0; 8192];
        assert_eq!(store.load_of(1, HEAD, &mut head), Ok(3 * 132));
        assert_eq!(head[..3 * 132], bytes_of(&state(3, 1), HEAD));
    });
}

fn bytes_of(state: &State, kind: u8) -> Vec<u8> {
    state.iter().find(|(found, _)| *found == kind).unwrap().1.clone()
}

#[test]
fn errors_name_what_is_wrong() {
    let mut flash = MockFlash::<4, 1024>::new(8);
    let mut working = [0; working_bytes(8)];
    let range = PersistError::Range { page_bytes: 1024 };
    assert_eq!(Store::open(&mut flash, 0..1024, MODEL, &mut working).err(), Some(range), "one page");
    assert_eq!(Store::open(&mut flash, 512..4096, MODEL, &mut working).err(), Some(range), "misaligned");
    assert_eq!(Store::open(&mut flash, Range { start: 4096, end: 1024 }, MODEL, &mut working).err(), Some(range), "backwards");
    assert_eq!(Store::open(&mut flash, 0..9 * 1024, MODEL, &mut working).err(), Some(range), "beyond the flash");
    let small = Store::open(&mut flash, 0..8 * 1024, MODEL, &mut working[1..]).err();
    assert_eq!(small, Some(PersistError::BufferTooSmall { required: 288, found: 287 }));
    with(&mut flash, MODEL, |store| {
        let twice = [Part { kind: 1, slices: &[] }, Part { kind: 1, slices: &[] }];
        assert_eq!(store.save(&twice, 0), Err(PersistError::Parts));
        let nine: Vec<Part<'_>> = (0..9).map(|kind| Part { kind, slices: &[] }).collect();
        assert_eq!(store.save(&nine, 0), Err(PersistError::Parts));
        assert_eq!(save(store, &vec![(HEAD, bytes(0, 9000))]), Err(PersistError::Full { required: 10, available: 8 }));
        save(store, &vec![(HEAD, bytes(0, 3500))]).unwrap();
        assert_eq!(save(store, &vec![(HEAD, bytes(0, 4500))]), Err(PersistError::Full { required: 5, available: 4 }));
        assert_eq!(store.load(HEAD, &mut [0; 3499]), Err(PersistError::BufferTooSmall { required: 3500, found: 3499 }));
        assert_eq!(store.load(SUMS, &mut []), Err(PersistError::NoSuchPart { kind: SUMS }));
        assert_eq!(store.roll_back(2), Err(PersistError::UnknownGeneration { generation: 2 }));
        assert_eq!(store.load_of(0, HEAD, &mut []), Err(PersistError::UnknownGeneration { generation: 0 }));
    });
}

#[test]
fn parts_may_be_empty_and_none() {
    let mut flash = MockFlash::<8, 512>::new(4);
    with(&mut flash, MODEL, |store| {
        store.save(&[], 1).unwrap();
        assert_eq!(store.load(HEAD, &mut []), Err(PersistError::NoSuchPart { kind: HEAD }));
        store.save(&[Part { kind: HEAD, slices: &[] }, Part { kind: SUMS, slices: &[&[], &[7], &[]] }], 1).unwrap();
    });
    with(&mut flash, MODEL, |store| {
        let mut into = [0; 2];
        assert_eq!(store.load(HEAD, &mut into), Ok(0));
        assert_eq!(store.load(SUMS, &mut into), Ok(1));
        assert_eq!(into, [7, 0]);
    });
}

#[test]
fn a_new_model_refuses_an_old_head_until_the_store_is_reset() {
    let mut flash = MockFlash::<4, 1024>::new(8);
    with(&mut flash, MODEL, |store| save(store, &state(3, 1)).unwrap());
    let other = PersistError::AnotherModel { found: MODEL, expected: 99 };
    with(&mut flash, 99, |store| {
        assert_eq!(store.current(), Err(other));
        assert_eq!(loaded(store), Err(other));
        assert_eq!(save(store, &state(3, 2)), Err(other));
        assert_eq!(store.roll_back(1), Err(other));
        assert_eq!(store.generations(&mut []), Err(other));
    });
    with(&mut flash, MODEL, |store| assert_eq!(loaded(store), Ok(state(3, 1)), "nothing was lost"));
    with(&mut flash, 99, |store| {
        store.factory_reset().unwrap();
        assert_eq!(store.current(), Err(PersistError::NothingStored));
        save(store, &state(2, 2)).unwrap();
        assert_eq!(loaded(store), Ok(state(2, 2)));
    });
    #[cfg(feature = "std")]
    assert!(format!("{other}").contains("0123456789abcdef"));
}

#[test]
fn a_newer_record_is_neither_read_nor_overwritten() {
    let mut flash = MockFlash::<4, 1024>::new(4);
    with(&mut flash, MODEL, |store| {
        save(store, &vec![(HEAD, bytes(1, 40))]).unwrap();
        store.item[0] = super::record::VERSION + 1;
        store.append(3, 30).unwrap();
    });
    let before = flash.bytes.clone();
    let newer = PersistError::NewerRecord { found: super::record::VERSION + 1 };
    with(&mut flash, MODEL, |store| {
        assert_eq!(store.current(), Err(newer));
        assert_eq!(save(store, &state(1, 1)), Err(newer));
    });
    assert_eq!(flash.bytes, before);
    with(&mut flash, MODEL, |store| {
        store.factory_reset().unwrap();
        assert_eq!(store.current(), Err(PersistError::NothingStored));
    });
}

#[test]
fn rolling_back_and_forth_never_ends() {
    let mut flash = MockFlash::<4, 512>::new(7);
    let (first, second) = (vec![(HEAD, bytes(1, 700))], vec![(HEAD, bytes(2, 800))]);
    with(&mut flash, MODEL, |store| {
        save(store, &first).unwrap();
        save(store, &second).unwrap();
    });
    for turn in 0..200 {
        let (number, expected) = if turn % 2 == 0 { (1, &first) } else { (2, &second) };
        with(&mut flash, MODEL, |store| store.roll_back(number).unwrap());
        with(&mut flash, MODEL, |store| {
            let mut into = vec![0; 800];
            let length = store.load(HEAD, &mut into).unwrap();
            assert_eq!(into[..length], expected[0].1, "turn {turn}");
        });
    }
}

#[test]
fn old_generations_stay_while_they_fit_and_pages_wear_alike() {
    let mut flash = MockFlash::<4, 1024>::new(10);
    for lesson in 1..=60 {
        with(&mut flash, MODEL, |store| {
            // Three pages each: three generations fit.
            save(store, &vec![(HEAD, bytes(lesson, 2500))]).unwrap();
            let last = lesson as u32;
            assert_eq!(numbers(store), (last.saturating_sub(2).max(1)..=last).rev().collect::<Vec<_>>());
        });
    }
    let (least, most) = (flash.erases.iter().min().unwrap(), flash.erases.iter().max().unwrap());
    assert!(*least >= 17 && most - least <= 1, "{:?}", flash.erases);
}

/// What the scenario does, one after the other.
#[derive(Debug, Clone, Copy)]
enum Step {
    /// Saves what so many classes are after so many lessons.
    Save(usize, usize),
    /// Makes the generation before the current one current.
    RollBack,
    Reset,
}

fn scenario() -> Vec<Step> {
    let mut steps = vec![Step::Save(3, 1), Step::Save(3, 2)]; // learning
    steps.push(Step::Save(4, 3)); // a class is added
    steps.extend([Step::RollBack, Step::RollBack, Step::Save(4, 4)]);
    steps.extend((5..25).map(|lesson| Step::Save(4 + lesson / 8, lesson))); // until every page was erased many times
    steps.extend([Step::RollBack, Step::Save(6, 26), Step::RollBack]);
    steps.extend([Step::Reset, Step::Save(3, 27), Step::Save(3, 28)]);
    steps
}

/// Does a step; `generations` are the states by number.
fn perform<F: embedded_storage::nor_flash::NorFlash>(
    store: &mut Store<'_, F>,
    step: Step,
    generations: &mut Vec<(u32, State)>,
) -> Option<State> {
    match step {
        Step::Save(classes, lessons) => {
            let saved = state(classes, lessons);
            let number = save(store, &saved).unwrap();
            generations.push((number, saved.clone()));
            Some(saved)
        }
        Step::RollBack => {
            let current = store.current().unwrap();
            let before = *numbers(store).iter().find(|&&number| number != current).unwrap();
            store.roll_back(before).unwrap();
            generations.iter().find(|(number, _)| *number == before).map(|(_, state)| state.clone())
        }
        Step::Reset => {
            store.factory_reset().unwrap();
            None
        }
    }
}

/// Restarts after a cut: the state is one of two, whole, and the store goes on working. Returns the state.
fn recovers<const WORD: usize, const PAGE: usize>(
    flash: &MockFlash<WORD, PAGE>,
    allowed: [&Option<State>; 2],
    what: &str,
) -> Option<State> {
    let mut flash = flash.restarted();
    let found = with(&mut flash, MODEL, |store| match loaded(store) {
        Ok(state) => Some(state),
        // A flash whose only page cannot be read says so.
        Err(PersistError::NothingStored | PersistError::Flash(_)) => None,
        Err(error) => panic!("{what}: {error:?}"),
    });
    assert!(allowed.contains(&&found), "{what}: the state is neither the last nor the one before");
    with(&mut flash, MODEL, |store| {
        for number in numbers(store) {
            assert!(store.load_of(number, HEAD, &mut [0; 4096]).is_ok(), "{what}: generation {number} is listed");
        }
    });
    let after = state(2, 99);
    with(&mut flash, MODEL, |store| save(store, &after).unwrap());
    with(&mut flash, MODEL, |store| assert_eq!(loaded(store), Ok(after), "{what}: saved after the restart"));
    found
}

/// Cuts the power at every write and erase of the scenario in every way, and, at each `nested`th of them, again at every write
/// and erase of the save that follows. Returns the number of cuts.
fn cut_everywhere<const WORD: usize, const PAGE: usize>(pages: usize, nested: usize) -> usize {
    let mut flash = MockFlash::<WORD, PAGE>::new(pages);
    let (mut generations, mut before) = (Vec::new(), None);
    let mut cuts = 0;
    for step in scenario() {
        let mut image = flash.restarted();
        flash.operations.clear();
        // A new boot for every step: all that the store knows comes from the flash.
        let after = with(&mut flash, MODEL, |store| perform(store, step, &mut generations));
        assert!(!flash.operations.is_empty());
        for (index, operation) in flash.operations.iter().enumerate() {
            for kind in Cut::ALL {
                cuts += 1;
                let what = format!("{step:?}, operation {index}, {kind:?}");
                let mut cut = image.clone();
                cut.perform(operation, Some(kind));
                let found = recovers(&cut, [&before, &after], &what);
                if cuts % nested == 0 {
                    cuts += cut_while_recovering(&cut, &found, &what);
                }
            }
            image.perform(operation, None);
        }
        assert_eq!(image.bytes, flash.bytes);
        assert_eq!(with(&mut flash, MODEL, |store| loaded(store).ok()), after, "{step:?}");
        before = after;
    }
    assert!(flash.erases.iter().all(|&erases| erases > 5), "wear levelling turns over: {:?}", flash.erases);
    cuts
}

fn cut_while_recovering<const WORD: usize, const PAGE: usize>(
    flash: &MockFlash<WORD, PAGE>,
    before: &Option<State>,
    what: &str,
) -> usize {
    let next = state(3, 77);
    for index in 0.. {
        for (at, kind) in Cut::ALL.into_iter().enumerate() {
            let mut again = flash.restarted();
            again.cut = Some((index, kind));
            if with(&mut again, MODEL, |store| save(store, &next)).is_ok() {
                return index * Cut::ALL.len() + at;
            }
            recovers(&again, [before, &Some(next.clone())], &format!("{what}, then operation {index}, {kind:?}"));
        }
    }
    0
}

#[test]
fn power_may_fail_at_every_write_and_erase() {
    // Room for little beside the current generation; for several; and the words of other chips.
    let cuts = cut_everywhere::<4, 1024>(9, 499)
        + cut_everywhere::<4, 1024>(13, 1999)
        + cut_everywhere::<1, 2048>(7, 1999)
        + cut_everywhere::<32, 4096>(4, 1999);
    println!("{cuts} power cuts, and a whole state after each");
    assert!(cuts > 10_000);
}

/// A flash after some saves, and what may be loaded from it.
fn used_flash() -> (MockFlash<4, 1024>, Vec<State>) {
    let mut flash = MockFlash::new(12);
    let states: Vec<State> = (1..6).map(|lesson| state(3, lesson)).collect();
    states.iter().for_each(|state| with(&mut flash, MODEL, |store| save(store, state).map(drop).unwrap()));
    (flash, states)
}

/// Whatever the flash holds: opening, loading and listing do not panic, what is loaded is one of `states` as a whole, and after
/// a reset the store works.
fn holds_out(bytes: Vec<u8>, states: &[State]) {
    let mut flash = MockFlash::<4, 1024>::holding(bytes);
    with(&mut flash, MODEL, |store| {
        if let Ok(found) = loaded(store) {
            assert!(states.contains(&found), "a mixture");
        }
        let mut list = [Generation::default(); 16];
        let count = store.generations(&mut list).unwrap_or(0).min(list.len());
        for generation in &list[..count] {
            let _ = store.roll_back(generation.number);
            if let Ok(found) = loaded(store) {
                assert!(states.contains(&found), "a mixture");
            }
        }
        let next = state(3, 50);
        if save(store, &next).is_err() {
            store.factory_reset().unwrap();
            save(store, &next).unwrap();
        }
        assert_eq!(loaded(store), Ok(next));
    });
}

#[test]
fn every_byte_may_be_lost() {
    let (flash, states) = used_flash();
    for at in (0..flash.bytes.len()).step_by(29) {
        for value in [0, 0xff, flash.bytes[at] ^ 1 << (at % 8)] {
            let mut bytes = flash.bytes.clone();
            bytes[at] = value;
            holds_out(bytes, &states);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn random_flash_is_no_trap(bytes in prop::collection::vec(any::<u8>(), 12 * 1024), zeros in 0..4u32) {
        // Mostly erased flash with some bytes in it gets further than noise.
        let sparse = bytes.iter().zip(bytes.iter().rev()).map(|(&byte, &other)| if u32::from(other) % 4 < zeros { byte } else { 0xff });
        holds_out(sparse.collect(), &[]);
    }

    #[test]
    fn many_flipped_bits_give_no_mixture(flips in prop::collection::vec((0..12 * 1024usize, 0..8u32), 1..200)) {
        let (flash, states) = used_flash();
        let mut bytes = flash.bytes;
        flips.iter().for_each(|&(at, bit)| bytes[at] ^= 1 << bit);
        holds_out(bytes, &states);
    }

    #[test]
    fn swapped_and_repeated_pages_give_no_mixture(from in prop::collection::vec(0..12usize, 12)) {
        let (flash, states) = used_flash();
        let bytes = from.iter().flat_map(|&page| flash.bytes[page * 1024..][..1024].to_vec()).collect();
        holds_out(bytes, &states);
    }
}
