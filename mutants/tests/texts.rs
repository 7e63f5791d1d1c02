//! What is written for a change of each kind.

use staplegun_mutants::{Change, Constants, Genre, plain, weave};

/// The change of what `target` marks by brackets, which the text then has no more.
fn change(id: u32, genre: Genre, marked: &str, replacement: &str) -> (String, Change) {
    let (before, rest) = marked.split_once('⟦').expect("its beginning is marked");
    let (within, after) = rest.split_once('⟧').expect("its end is marked");
    let point = |text: &str| {
        let line = text.rsplit('\n').next().unwrap_or(text);
        serde_json::json!({
            "line": text.matches('\n').count() + 1, "column": line.chars().count() + 1,
        })
    };
    let text = [before, within, after].concat();
    let span = serde_json::json!({
        "start": point(before), "end": point(&[before, within].concat()),
    });
    let change = serde_json::json!({
        "id": id, "name": "", "file": "", "genre": format!("{genre:?}"), "span": span,
        "replacement": replacement,
    });
    let change = serde_json::from_value(change).expect("it is one");
    (text, change)
}

/// Weaves changes 1, 2, ... of one place. `on` and `Either` are written without their path.
fn woven(genre: Genre, marked: &str, replacements: &[&str]) -> String {
    let changes = (1..).zip(replacements);
    let changes: Vec<_> = changes
        .map(|(id, new)| change(id, genre, marked, new))
        .collect();
    let text = changes[0].0.clone();
    let changes: Vec<Change> = changes.into_iter().map(|(_, change)| change).collect();
    let mut constants = Constants::default();
    constants.add(&text).expect("it is Rust");
    let woven = weave(&text, &changes, &constants.closed()).expect("it is Rust");
    assert_eq!(woven.apart.len() + woven.refused.len(), 0, "{woven:?}");
    for change in &changes {
        let places = woven.places.iter().filter(|place| place.id == change.id);
        let texts: Vec<&str> = places
            .map(|place| &woven.text[place.start..place.end])
            .collect();
        let own = format!("::staplegun_switch::on({})", change.id);
        assert!(texts.len() == 1 && texts[0].contains(&own), "{texts:?}");
    }
    woven.text.replace("::staplegun_switch::", "")
}

/// Why a change cannot be switched.
fn apart(genre: Genre, marked: &str, replacement: &str) -> Option<&'static str> {
    let (text, change) = change(1, genre, marked, replacement);
    let mut constants = Constants::default();
    constants.add(&text).expect("it is Rust");
    let woven = weave(&text, &[change], &constants.closed()).expect("it is Rust");
    assert!(
        woven.apart.is_empty() || woven.text == text,
        "{}",
        woven.text
    );
    woven.apart.get(&1).copied()
}

#[test]
fn a_function_returns_before_its_statements() {
    let text = "fn f() -> u8 {\n    // é\n    ⟦let a = 1;\n    a⟧\n}\n";
    assert_eq!(
        woven(Genre::FnValue, text, &["0", "1"]),
        "fn f() -> u8 {\n    // é\n    if on(1) { return 0; } if on(2) { return 1; } let a = 1;\n    a\n}\n"
    );
    assert_eq!(
        woven(Genre::FnValue, "fn f() { ⟦g();⟧ }", &["()"]),
        "fn f() { if on(1) { return; } g(); }"
    );
}

#[test]
fn a_function_that_returns_some_iterator_returns_one_type() {
    let text = "fn f() -> impl Iterator<Item = u8> { ⟦[1].into_iter()⟧ }";
    assert_eq!(
        woven(Genre::FnValue, text, &["empty()", "once(0)"]),
        "fn f() -> impl Iterator<Item = u8> { if on(1) { Either::Left(empty()) } else \
         { Either::Right(if on(2) { Either::Left(once(0)) } else \
         { Either::Right({ [1].into_iter() }) }) } }"
    );
    let other = "fn f() -> impl Fn() { ⟦|| ()⟧ }";
    assert_eq!(
        apart(Genre::FnValue, other, "g"),
        Some("returns an impl of a trait")
    );
    let within = "fn f() -> Option<impl Iterator<Item = u8>> { ⟦None⟧ }";
    assert_eq!(
        apart(Genre::FnValue, within, "None"),
        Some("returns an impl of a trait")
    );
    let returns = "fn f() -> impl Iterator<Item = u8> { ⟦if a { return x; } x⟧ }";
    assert_eq!(
        apart(Genre::FnValue, returns, "empty()"),
        Some("returns an impl of a trait")
    );
}

#[test]
fn an_operator_is_another_with_the_unchanged_text_around_it() {
    assert_eq!(
        woven(
            Genre::BinaryOperator,
            "fn f() { g(a ⟦+⟧ b(c)) }",
            &["-", "*"]
        ),
        "fn f() { g((if on(1) { a - b(c) } else { (if on(2) { a * b(c) } else { a + b(c) }) })) }"
    );
}

#[test]
fn what_binds_less_than_its_surroundings_changes_these_too() {
    assert_eq!(
        woven(
            Genre::BinaryOperator,
            "fn f() { g(a ⟦*⟧ b * c) }",
            &["+", "/"]
        ),
        "fn f() { g((if on(1) { a + b * c } else { (if on(2) { a / b } else { a * b }) * c })) }"
    );
    assert_eq!(
        woven(Genre::BinaryOperator, "fn f() { a || b ⟦&&⟧ c }", &["||"]),
        "fn f() { (if on(1) { a || b || c } else { a || b && c }) }"
    );
    let bracketed = "fn f() { (a ⟦*⟧ b) * c }";
    let result = "fn f() { ((if on(1) { a + b } else { a * b })) * c }";
    assert_eq!(woven(Genre::BinaryOperator, bracketed, &["+"]), result);
}

#[test]
fn a_sign_is_gone() {
    assert_eq!(
        woven(Genre::UnaryOperator, "fn f() { if ⟦!⟧a.b() {} }", &[""]),
        "fn f() { if (if on(1) { a.b() } else { !a.b() }) {} }"
    );
}

#[test]
fn an_arm_is_gone_by_its_guard() {
    assert_eq!(
        woven(
            Genre::MatchArm,
            "fn f() { match a { ⟦1 => b,⟧ _ => c } }",
            &[""]
        ),
        "fn f() { match a { 1 if !on(1) => b, _ => c } }"
    );
    assert_eq!(
        woven(
            Genre::MatchArm,
            "fn f() { match a { ⟦1 if d || e => b,⟧ _ => c } }",
            &[""]
        ),
        "fn f() { match a { 1 if !on(1) && (d || e) => b, _ => c } }"
    );
}

#[test]
fn a_guard_is_true_or_false() {
    assert_eq!(
        woven(
            Genre::MatchArmGuard,
            "fn f() { match a { 1 if ⟦b⟧ => c, _ => d } }",
            &["true", "false"]
        ),
        "fn f() { match a { 1 if on(1) || !on(2) && (b) => c, _ => d } }"
    );
}

#[test]
fn a_field_is_the_bases() {
    assert_eq!(
        woven(Genre::StructField, "fn f() { S { ⟦a: b, ⟧..c() } }", &[""]),
        "fn f() { S { a: if on(1) { (c()).a } else { b }, ..c() } }"
    );
    assert_eq!(
        woven(Genre::StructField, "fn f() { S { ⟦a, ⟧..c() } }", &[""]),
        "fn f() { S { a: if on(1) { (c()).a } else { a }, ..c() } }"
    );
}

#[test]
fn nothing_is_switched_in_a_constant() {
    for text in [
        "const A: u8 = 1 ⟦+⟧ 2;",
        "static A: u8 = 1 ⟦+⟧ 2;",
        "enum E { A = 1 ⟦+⟧ 2 }",
        "fn f() { [0; 1 ⟦+⟧ 2] }",
        "fn f(a: [u8; 1 ⟦+⟧ 2]) {}",
        "fn f() { g::<{ 1 ⟦+⟧ 2 }>() }",
        "impl S { const A: u8 = 1 ⟦+⟧ 2; }",
        "fn f() { match a { ..=B if c => d, e => f } const { 1 ⟦+⟧ 2 } }",
        "const A: u8 = f(); const fn f() -> u8 { g() } const fn g() -> u8 { 1 ⟦+⟧ 2 }",
        "const fn f() -> u8 { 1 ⟦+⟧ 2 } thread_local! { static A: u8 = const { f() } }",
    ] {
        assert_eq!(
            apart(Genre::BinaryOperator, text, "-"),
            Some("in a constant"),
            "{text}"
        );
    }
}

#[test]
fn a_function_that_no_constant_needs_is_not_constant() {
    assert_eq!(
        woven(
            Genre::BinaryOperator,
            "const fn f() -> u8 { 1 ⟦+⟧ 2 } const A: u8 = g();",
            &["-"]
        ),
        " fn f() -> u8 { (if on(1) { 1 - 2 } else { 1 + 2 }) } const A: u8 = g();"
    );
}

#[test]
fn an_or_beside_a_let_is_left_out() {
    let marked = "fn f() { if let Some(a) = b && c ⟦&&⟧ d {} }";
    let (text, one) = change(1, Genre::BinaryOperator, marked, "||");
    let woven = weave(&text, &[one], &Constants::default()).expect("it is Rust");
    assert_eq!((woven.text, woven.refused.len()), (text, 1));
}

#[test]
fn what_has_no_place_is_told() {
    let (text, one) = change(1, Genre::FnValue, "fn f() { g(⟦a⟧) }", "b");
    let woven =
        weave(&text, std::slice::from_ref(&one), &Constants::default()).expect("it is Rust");
    assert_eq!(woven.apart.len(), 1);
    assert_eq!(plain(&text, &one), "fn f() { g(b) }");
}
