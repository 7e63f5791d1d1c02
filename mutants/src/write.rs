//! Writes a file anew, with a switch at each place. What stands in place of an expression has the
//! unchanged text of all within it, so that the file does not grow with how deep it is nested.

use serde::Serialize;

use crate::node::{Alternative, Form, Node};

/// Where in the new text what was put there for a change lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Place {
    /// The change.
    pub id: u32,
    /// Its first byte.
    pub start: usize,
    /// The byte after its last.
    pub end: usize,
}

/// The new text. The nodes are in order, the outer before the inner.
pub fn write(text: &str, nodes: &[Node]) -> (String, Vec<Place>) {
    let mut writer = Writer {
        text,
        out: String::new(),
        places: Vec::new(),
    };
    writer.write(nodes, 0, text.len());
    (writer.out, writer.places)
}

struct Writer<'t> {
    text: &'t str,
    out: String,
    places: Vec<Place>,
}

fn on(id: u32) -> String {
    format!("::staplegun_switch::on({id})")
}

impl Writer<'_> {
    fn put(&mut self, text: &str) {
        self.out.push_str(text);
    }

    fn put_for(&mut self, id: u32, text: &str) {
        let start = self.out.len();
        self.put(text);
        self.places.push(Place {
            id,
            start,
            end: self.out.len(),
        });
    }

    /// The text from `at` to `end`, where these nodes lie.
    fn write(&mut self, nodes: &[Node], mut at: usize, end: usize) {
        let mut left = nodes;
        while let [node, rest @ ..] = left {
            let range = node.range.clone();
            assert!(range.start >= at, "{node:?} overlaps what ends at {at}");
            self.put(&self.text[at..range.start]);
            let lies_within = |inner: &&Node| inner.range.end <= range.end && !range.is_empty();
            let within = rest.iter().take_while(lies_within).count();
            let (inner, after) = rest.split_at(within);
            self.write_node(node, inner);
            (at, left) = (range.end, after);
        }
        self.put(&self.text[at..end]);
    }

    fn write_node(&mut self, node: &Node, inner: &[Node]) {
        let (start, end) = (node.range.start, node.range.end);
        let own = |writer: &mut Self| writer.write(inner, start, end);
        match &node.form {
            Form::Body(alternatives) => {
                for Alternative { id, text } in alternatives {
                    let value = if text == "()" {
                        String::new()
                    } else {
                        format!(" {text}")
                    };
                    self.put_for(*id, &format!("if {} {{ return{value}; }} ", on(*id)));
                }
                own(self);
            }
            Form::Iterator(alternatives) => {
                for Alternative { id, text } in alternatives {
                    let left = format!("::staplegun_switch::Either::Left({text})");
                    self.put_for(*id, &format!("if {} {{ {left} }} else ", on(*id)));
                    self.put("{ ::staplegun_switch::Either::Right(");
                }
                self.put("{ ");
                own(self);
                self.put(" }");
                self.put(&") }".repeat(alternatives.len()));
            }
            Form::Expression(alternatives) => {
                self.put("(");
                for Alternative { id, text } in alternatives {
                    self.put_for(*id, &format!("if {} {{ {text} }} else ", on(*id)));
                }
                self.put("{ ");
                own(self);
                self.put(" })");
            }
            Form::Guard { yes, no } => {
                for id in yes {
                    self.put_for(*id, &format!("{} || ", on(*id)));
                }
                for id in no {
                    self.put_for(*id, &format!("!{} && ", on(*id)));
                }
                self.put("(");
                own(self);
                self.put(")");
            }
            Form::Arm(id) => self.put_for(*id, &format!(" if !{}", on(*id))),
            Form::GuardedArm(id) => {
                self.put_for(*id, &format!("!{} && ", on(*id)));
                self.put("(");
                own(self);
                self.put(")");
            }
            Form::Field {
                id,
                name,
                base,
                shorthand,
            } => {
                if *shorthand {
                    self.put(&format!("{name}: "));
                }
                self.put_for(*id, &format!("if {} {{ ({base}).{name} }} else ", on(*id)));
                self.put("{ ");
                own(self);
                self.put(" }");
            }
            Form::Cut => {}
        }
    }
}
