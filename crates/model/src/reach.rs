//! States from which the end can't be reached any more.
//!
//! "From everywhere there is a way" is stronger than "no state is without a next step"
//! (a relay that sends the same job for ever makes steps) and weaker than "it will
//! happen", which depends on how fair the world is.

use std::{
    collections::{HashMap, VecDeque},
    hash::{BuildHasher, RandomState},
};

use stateright::Model;

use crate::{Action, State, World, done};

/// What a search came to.
#[derive(Debug)]
pub struct Reach {
    /// Different states.
    pub states: usize,
    /// Of them, those with no way to the end.
    pub stuck: usize,
    /// The shortest way into one of them.
    pub way: Option<Vec<Action>>,
}

/// Explores the world and looks for states without a way to the end, however kind
/// the world is from there on.
pub fn stuck(world: &World) -> Reach {
    let graph = Graph::explore(world);
    let reaching = graph.reaching_the_end();
    let first = reaching.iter().position(|reaches| !reaches);
    Reach {
        states: reaching.len(),
        stuck: reaching.iter().filter(|reaches| !**reaches).count(),
        way: first.map(|state| graph.way_to(state)),
    }
}

/// States by number in the order of discovery, so breadth first. The states themselves
/// are gone once their steps are known: two hashes of 64 bits tell them apart.
#[derive(Default)]
struct Graph {
    ends: Vec<bool>,
    parents: Vec<Option<(u32, Action)>>,
    steps: Vec<(u32, u32)>,
}

impl Graph {
    fn explore(world: &World) -> Graph {
        let hashers = (RandomState::new(), RandomState::new());
        let print = |state: &State| (hashers.0.hash_one(state), hashers.1.hash_one(state));
        let mut graph = Graph::default();
        let mut known = HashMap::new();
        let mut waiting = VecDeque::new();
        for state in world.init_states() {
            known.insert(print(&state), graph.add(&state, None));
            waiting.push_back(state);
        }
        let mut from = 0;
        while let Some(state) = waiting.pop_front() {
            for (action, next) in world.next_steps(&state) {
                let to = *known.entry(print(&next)).or_insert_with(|| {
                    let number = graph.add(&next, Some((from, action)));
                    waiting.push_back(next);
                    number
                });
                graph.steps.push((from, to));
            }
            from += 1;
        }
        graph
    }

    fn add(&mut self, state: &State, parent: Option<(u32, Action)>) -> u32 {
        self.ends.push(done(state));
        self.parents.push(parent);
        self.ends.len() as u32 - 1
    }

    /// Steps walked backwards from every end.
    fn reaching_the_end(&self) -> Vec<bool> {
        let mut backwards = self.steps.clone();
        backwards.sort_unstable_by_key(|(_, to)| *to);
        let mut reaching = self.ends.clone();
        let mut waiting: Vec<u32> =
            (0u32..).zip(&reaching).filter(|(_, end)| **end).map(|(n, _)| n).collect();
        while let Some(state) = waiting.pop() {
            let first = backwards.partition_point(|(_, to)| *to < state);
            for (from, _) in backwards[first..].iter().take_while(|(_, to)| *to == state) {
                if !std::mem::replace(&mut reaching[*from as usize], true) {
                    waiting.push(*from);
                }
            }
        }
        reaching
    }

    fn way_to(&self, state: usize) -> Vec<Action> {
        let mut way = Vec::new();
        let mut at = state;
        while let Some((before, action)) = self.parents[at] {
            way.push(action);
            at = before as usize;
        }
        way.reverse();
        way
    }
}
