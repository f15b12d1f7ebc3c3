//! Where aliases lead: each one's targets, nested aliases followed.
//!
//! Promises: following ends, also where the file has faults; a target reached twice counts once, at
//! its first place. A local target is looked up as a recipient is: whole, then without its detail; an
//! alias wins over a user of its name. Faults: a local target nobody has, a command or webhook there is
//! not, a loop, a limit passed. An
//! alias with several targets, or whose one target is such an alias, is a *group*. Refuses to know:
//! how aliases are written. Limits: [`TARGETS_MAX`], [`DEPTH_MAX`].

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, OnceLock};

use crate::config::handlers::{Handlers, Kind};
use crate::mail::{Mailbox, Target};

use super::aliases::{Address, AliasFile, shown};
use super::users::Fault;
use super::{POSTMASTER, without_detail};

/// The most targets one alias may lead to.
pub const TARGETS_MAX: usize = 1000;
/// The most aliases one behind the other.
pub const DEPTH_MAX: usize = 20;

/// Aliases with where they lead.
#[derive(Debug, Default)]
pub struct Aliases {
    /// From the name in lower case to its place in `nodes`.
    places: HashMap<String, usize>,
    nodes: Vec<Node>,
    ends: Vec<End>,
}

#[derive(Debug, Default)]
struct Node {
    name: String,
    line: usize,
    edges: Vec<Edge>,
    /// Targets as they are written, each once.
    members: Vec<Address>,
    /// Places in `ends`.
    reaches: Box<[u32]>,
    /// What mail for it becomes, from its first look-up on: messages share it.
    copies: OnceLock<Copies>,
    depth: usize,
    is_group: bool,
    /// Whether it led to more than [`TARGETS_MAX`].
    is_over: bool,
}

#[derive(Debug, Clone, Copy)]
struct Edge {
    line: usize,
    to: Step,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Step {
    /// A place in `nodes`.
    Alias(usize),
    /// A place in `ends`.
    End(u32),
}

/// Where mail for an alias goes.
#[derive(Debug, Clone)]
pub(super) struct Copies {
    pub(super) targets: Arc<[Target]>,
    /// Whether some of its targets are gone.
    pub(super) some_are_gone: bool,
}

/// Where following aliases ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum End {
    /// A user, `postmaster` included.
    User(String),
    /// A mailbox elsewhere.
    Outside(Mailbox),
    /// A command or a webhook.
    Handler(Kind, String),
    /// A local name that nobody has.
    Nobody,
}

/// What local names there are besides aliases.
#[derive(Clone, Copy)]
pub struct Names<'a> {
    /// Tells users; none where it is not known who there is: then a name nobody has is no fault.
    pub is_user: Option<&'a dyn Fn(&str) -> bool>,
    /// The separator of `user+detail`.
    pub subaddress: Option<char>,
    /// The commands and webhooks there are.
    pub handlers: &'a Handlers,
}

impl Aliases {
    /// Follows every alias of a file. What is at fault leads nowhere.
    pub fn resolve(file: &AliasFile, names: Names<'_>) -> (Self, Vec<Fault>) {
        let mut builder = Builder {
            names,
            aliases: Self {
                places: file.places.clone(),
                ..Self::default()
            },
            places_of_ends: HashMap::new(),
            reached_by: Vec::new(),
            faults: Vec::new(),
        };
        for entry in &file.entries {
            let (edges, members) = builder.steps(&entry.name, &entry.targets);
            builder.aliases.nodes.push(Node {
                name: entry.name.clone(),
                line: entry.line,
                edges,
                members,
                ..Node::default()
            });
        }
        for place in builder.innermost_first() {
            builder.follow(place);
        }
        builder.faults.sort_by_key(|fault| fault.line);
        (builder.aliases, builder.faults)
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.nodes.len()
    }

    /// Every alias's name in lower case, and whether it is a group; in the order of the file.
    pub fn names(&self) -> impl Iterator<Item = (&str, bool)> {
        let nodes = self.nodes.iter();
        nodes.map(|node| (node.name.as_str(), node.is_group))
    }

    /// Whether `name`, in lower case, is an alias.
    pub(super) fn contains(&self, name: &str) -> bool {
        self.places.contains_key(name)
    }

    /// Whether `name`, in lower case, is a group.
    pub(super) fn is_group(&self, name: &str) -> bool {
        self.node(name).is_some_and(|node| node.is_group)
    }

    /// Where an alias leads in the end; none where it is no alias.
    pub(super) fn ends(&self, name: &str) -> Option<impl Iterator<Item = &End>> {
        let node = self.node(name)?;
        let ends = node.reaches.iter();
        Some(ends.filter_map(|&end| self.ends.get(end as usize)))
    }

    /// Where mail for an alias goes, made by `make` the first time; none where it is no alias.
    pub(super) fn copies(
        &self,
        name: &str,
        make: impl FnOnce(&mut dyn Iterator<Item = &End>) -> Copies,
    ) -> Option<Copies> {
        let copies = &self.node(name)?.copies;
        let mut ends = self.ends(name)?;
        Some(copies.get_or_init(|| make(&mut ends)).clone())
    }

    /// The targets of an alias as they are written; none where it is no alias.
    pub(super) fn members(&self, name: &str) -> Option<&[Address]> {
        self.node(name).map(|node| node.members.as_slice())
    }

    fn node(&self, name: &str) -> Option<&Node> {
        self.nodes.get(*self.places.get(name)?)
    }
}

struct Builder<'a> {
    names: Names<'a>,
    aliases: Aliases,
    places_of_ends: HashMap<String, u32>,
    /// For each of `ends`, the alias that reached it last.
    reached_by: Vec<Option<usize>>,
    faults: Vec<Fault>,
}

impl Builder<'_> {
    /// The steps from one alias, each once, and the targets they stand for.
    fn steps(&mut self, name: &str, targets: &[(usize, Address)]) -> (Vec<Edge>, Vec<Address>) {
        let (mut edges, mut members) = (Vec::new(), Vec::new());
        let mut known = HashSet::new();
        for (line, address) in targets {
            let to = self.step(name, *line, address);
            if known.insert(to) {
                edges.push(Edge { line: *line, to });
                members.push(address.clone());
            }
        }
        (edges, members)
    }

    fn step(&mut self, alias: &str, line: usize, address: &Address) -> Step {
        let name = match address {
            Address::Outside(mailbox) => {
                // The domain's case is no difference (RFC 5321 section 2.4).
                let domain = mailbox.domain().as_str().to_ascii_lowercase();
                let key = format!("{}@{domain}", mailbox.local_part());
                return self.end(key, End::Outside(mailbox.clone()));
            }
            Address::Handler(kind, name) => {
                if let Err(reason) = self.names.handlers.find(*kind, name) {
                    let reason = format!("alias {}: {reason}", shown(alias));
                    self.faults.push(Fault { line, reason });
                }
                let key = format!("{}{name}:handler", kind.mark());
                return self.end(key, End::Handler(*kind, name.clone()));
            }
            Address::Local(name) => name,
        };
        let whole_then_cut = [
            Some(name.as_str()),
            without_detail(name, self.names.subaddress),
        ];
        for name in whole_then_cut.into_iter().flatten() {
            if let Some(&place) = self.aliases.places.get(name) {
                return Step::Alias(place);
            }
            if name == POSTMASTER || self.names.is_user.is_some_and(|is_user| is_user(name)) {
                return self.end(format!("{name}:user"), End::User(name.to_owned()));
            }
        }
        if self.names.is_user.is_some() {
            let (alias, name) = (shown(alias), shown(name));
            let reason = format!("alias {alias}: {name} is neither a user nor an alias");
            self.faults.push(Fault { line, reason });
        }
        self.end(format!("{name}:nobody"), End::Nobody)
    }

    fn end(&mut self, key: String, end: End) -> Step {
        let next =
            u32::try_from(self.aliases.ends.len()).expect("a file of 4 MiB has fewer targets");
        let place = *self.places_of_ends.entry(key).or_insert(next);
        if place == next {
            self.aliases.ends.push(end);
            self.reached_by.push(None);
        }
        Step::End(place)
    }

    /// Every alias behind those it leads to. A step that closes a loop is a fault and taken out.
    fn innermost_first(&mut self) -> Vec<usize> {
        let count = self.aliases.nodes.len();
        let mut order = Vec::with_capacity(count);
        let mut marks = vec![Mark::New; count];
        for root in 0..count {
            // Each alias on the way, and the number of its steps taken so far.
            let mut way: Vec<(usize, usize)> = vec![(root, 0)];
            if marks.get(root) != Some(&Mark::New) {
                continue;
            }
            while let Some((place, taken)) = way.last_mut() {
                let (place, at) = (*place, *taken);
                if let Some(mark) = marks.get_mut(place) {
                    *mark = Mark::OnTheWay;
                }
                *taken += 1;
                let Some(edge) = self.edge(place, at) else {
                    way.pop();
                    order.push(place);
                    if let Some(mark) = marks.get_mut(place) {
                        *mark = Mark::Done;
                    }
                    continue;
                };
                let Step::Alias(to) = edge.to else { continue };
                match marks.get(to) {
                    Some(Mark::New) => way.push((to, 0)),
                    Some(Mark::OnTheWay) => {
                        self.name_loop(&way, to);
                        self.take_out(place, at);
                        if let Some((_, taken)) = way.last_mut() {
                            *taken -= 1;
                        }
                    }
                    Some(Mark::Done) | None => {}
                }
            }
        }
        order
    }

    fn edge(&self, place: usize, at: usize) -> Option<Edge> {
        self.aliases.nodes.get(place)?.edges.get(at).copied()
    }

    fn take_out(&mut self, place: usize, at: usize) {
        if let Some(node) = self.aliases.nodes.get_mut(place) {
            node.edges.remove(at);
        }
    }

    /// The loop is named where it closes as the file is read: at the last of its lines.
    fn name_loop(&mut self, way: &[(usize, usize)], to: usize) {
        let start = way.iter().position(|(place, _)| *place == to).unwrap_or(0);
        let steps = way.iter().skip(start).filter_map(|&(place, taken)| {
            let line = self.edge(place, taken.checked_sub(1)?)?.line;
            Some((line, self.aliases.nodes.get(place)?.name.as_str()))
        });
        let mut steps: Vec<(usize, &str)> = steps.collect();
        let last = steps.iter().enumerate().max_by_key(|(_, step)| step.0);
        let Some((at, line)) = last.map(|(at, step)| (at, step.0)) else {
            return;
        };
        // The chain ends with the step of that line.
        steps.rotate_left(at + 1);
        let names: Vec<&str> = steps.iter().map(|step| step.1).collect();
        let reason = format!("the aliases go round in a loop: {}", chain(&names));
        self.faults.push(Fault { line, reason });
    }

    /// Works out one alias, those it leads to being done.
    fn follow(&mut self, place: usize) {
        let nodes = &self.aliases.nodes;
        let reached_by = &mut self.reached_by;
        let Some(node) = nodes.get(place) else { return };
        let mut reaches: Vec<u32> = Vec::new();
        let mut reach = |ends: &[u32]| {
            for &end in ends {
                let mark = reached_by.get_mut(end as usize);
                if mark.is_some_and(|mark| mark.replace(place) != Some(place)) {
                    reaches.push(end);
                }
            }
            reaches.len()
        };
        let (mut depth, mut is_over_inside) = (0, false);
        let mut is_group = node.edges.len() > 1;
        for edge in &node.edges {
            let count = match edge.to {
                Step::End(end) => reach(&[end]),
                Step::Alias(alias) => {
                    let Some(inside) = nodes.get(alias) else {
                        continue;
                    };
                    depth = depth.max(inside.depth);
                    is_group |= inside.is_group;
                    is_over_inside |= inside.is_over;
                    reach(&inside.reaches)
                }
            };
            if count > TARGETS_MAX {
                break;
            }
        }
        let (line, name) = (node.line, shown(&node.name));
        let is_over = reaches.len() > TARGETS_MAX;
        // One fault, at the innermost alias: those around it would only say it again.
        if is_over && !is_over_inside {
            let reason = format!("the alias {name} leads to more than {TARGETS_MAX} targets");
            self.faults.push(Fault { line, reason });
        }
        if depth == DEPTH_MAX {
            let reason = format!("the alias {name} leads through more than {DEPTH_MAX} aliases");
            self.faults.push(Fault { line, reason });
        }
        reaches.truncate(TARGETS_MAX);
        if let Some(node) = self.aliases.nodes.get_mut(place) {
            node.reaches = reaches.into_boxed_slice();
            node.depth = depth + 1;
            node.is_group = is_group;
            node.is_over = is_over || is_over_inside;
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mark {
    New,
    OnTheWay,
    Done,
}

/// `a -> b -> a`; of a long loop its beginning and its end.
fn chain(names: &[&str]) -> String {
    let mut words: Vec<&str> = match names {
        [start @ .., last] if names.len() > CHAIN_MAX => {
            let start = start.iter().take(CHAIN_MAX - 2).copied();
            start.chain(["...", last]).collect()
        }
        _ => names.to_vec(),
    };
    words.extend(names.first());
    words.join(" -> ")
}

const CHAIN_MAX: usize = 20;

#[cfg(test)]
mod tests;
