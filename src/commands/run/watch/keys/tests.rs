//! Keys, one after the other.

use super::*;

fn facts(state: RunState) -> Facts {
    Facts { run: RunId(Default::default()), state, users_per_second: Some(16.0) }
}

/// Presses one key after the other; the last step, and all that was done.
fn pressed(state: RunState, keys: &str) -> (Step, Vec<Action>) {
    let (mut step, mut done) = (Step::to(Mode::Watching), Vec::new());
    for char in keys.chars() {
        let key = match char {
            '\n' => Key::Enter,
            '\x1b' => Key::Escape,
            '\x08' => Key::Backspace,
            char => Key::Char(char),
        };
        step = press(step.mode, key, &facts(state));
        if step.action != Action::Stay {
            done.push(step.action.clone());
        }
    }
    (step, done)
}

#[test]
fn an_order_is_given_only_after_a_yes() {
    let pause = Order::Move(RunMove::Pause);
    let (step, done) = pressed(RunState::Running, "p");
    assert_eq!((step.mode, done.len()), (Mode::Confirm(pause.clone()), 0));
    let (step, done) = pressed(RunState::Running, "py");
    assert_eq!((step.mode, done), (Mode::Doing(pause.clone()), vec![Action::Do(pause)]));
    // Other keys close the question: a sentence that is typed into the view must not come to its y.
    for typed in ["pxy", "p y", "pause my"] {
        assert_eq!(pressed(RunState::Running, typed).1, [], "{typed}");
    }
    for no in ["pn", "pq", "p\x1b", "px"] {
        let (step, done) = pressed(RunState::Running, no);
        assert_eq!((step.mode, done.len()), (Mode::Watching, 0));
        assert_eq!(step.notice.as_deref(), Some("Nothing was changed."));
    }
    let (_, done) = pressed(RunState::Paused, "ry");
    assert_eq!(done, [Action::Do(Order::Move(RunMove::Resume))]);
}

#[test]
fn what_the_run_has_no_move_for_is_refused_before_anybody_is_asked() {
    let (step, done) = pressed(RunState::Running, "r");
    assert_eq!((step.notice.as_deref(), done.len()), (Some("The run is already running."), 0));
    for (state, keys) in [(RunState::Sealing, "py"), (RunState::Planned, "py"), (RunState::Cancelling, "ry")]
    {
        let (step, done) = pressed(state, &keys[..1]);
        assert!(step.notice.is_some(), "{state}");
        assert_eq!((step.mode, done.len()), (Mode::Watching, 0), "{state}");
        assert!(pressed(state, keys).1.is_empty());
    }
}

#[test]
fn limits_are_proposed_changed_and_confirmed() {
    let rate = |keys: &str| match pressed(RunState::Running, keys).0.mode {
        Mode::Confirm(Order::Rate(text)) => text,
        other => panic!("{keys:?} led to {other:?}"),
    };
    for (keys, text) in [
        ("+\n", "20"),
        ("-\n", "13"),
        ("++\n", "25"),
        ("+-\n", "16"),
        ("+8\n", "8"),
        ("+80\n", "80"),
        ("+private-500\n", "private-500"),
        ("-default\n", "default"),
        ("+custom:5:4\n", "custom:5:4"),
        ("+\x085\n", "25"),
    ] {
        assert_eq!(rate(keys), text, "{keys:?}");
    }
    let (step, done) = pressed(RunState::Running, "+gold\ny");
    assert!(done.is_empty() && matches!(step.mode, Mode::Rate(_)), "{step:?}");
    let (_, done) = pressed(RunState::Paused, "+\ny");
    assert_eq!(done, [Action::Do(Order::Rate("20".into()))]);
    assert_eq!(pressed(RunState::Running, "+\x1b").0.mode, Mode::Watching);
    assert_eq!((next(1, true), next(1, false), next(100_000, true)), (2, 1, 100_000));
}

#[test]
fn without_a_limit_none_is_proposed() {
    let facts = Facts { users_per_second: None, ..facts(RunState::Running) };
    let step = press(Mode::Watching, Key::Char('+'), &facts);
    assert_eq!(step.mode, Mode::Rate(Field::default()));
    assert!(step.notice.unwrap().contains("no limit"));
}

#[test]
fn leaving_is_a_key_everywhere() {
    for keys in ["q", "\x1b", "?qq", "??q"] {
        assert_eq!(pressed(RunState::Running, keys).1, [Action::Quit], "{keys:?}");
    }
    for mode in [Mode::Watching, Mode::Help, Mode::Rate(Field::default())] {
        assert_eq!(press(mode, Key::Interrupt, &facts(RunState::Running)).action, Action::Quit);
    }
}

#[test]
fn keys_are_told_from_what_a_terminal_sends() {
    let of = |code, modifiers| Key::of(&KeyEvent::new(code, modifiers));
    assert_eq!(of(KeyCode::Char('c'), KeyModifiers::CONTROL), Some(Key::Interrupt));
    assert_eq!(of(KeyCode::Char('p'), KeyModifiers::CONTROL), None);
    assert_eq!(of(KeyCode::Char('+'), KeyModifiers::SHIFT), Some(Key::Char('+')));
    assert_eq!(of(KeyCode::F(1), KeyModifiers::NONE), None);
}
