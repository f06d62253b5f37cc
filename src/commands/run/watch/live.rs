//! The live view: looks, keys and orders come together here, and the page is drawn when it changed.

use std::time::Duration;

use ferry_domain::RunView;
use ferry_operations::{
    Access,
    watching::{Look, Watching},
};
use ratatui::{
    crossterm::event::Event,
    text::{Line, Text},
};
use tokio::{sync::mpsc, task::JoinHandle, time::Instant};
use tokio_util::sync::CancellationToken;

use super::{
    Watched,
    following::{EVERY, Following, Seen},
    keys::{self, Action, Key, Mode, Order},
    orders,
    view::{self, Palette, Shown},
};
use crate::{
    output,
    screen::{self, Screen},
    setup::Setup,
};

/// People need longer from one key to the next.
const TYPED: Duration = Duration::from_millis(30);

/// What came of a look, for the view.
enum Sight {
    Look(Box<Look>),
    Ended(Box<(RunView, Access)>),
    Silent(String),
}

/// Shows the run until it ends, or a key or `stop` ends watching.
pub async fn run(setup: &Setup, following: Following, stop: &CancellationToken) -> anyhow::Result<Watched> {
    let first = following.last.clone();
    let (tell, looks) = mpsc::channel(1);
    let looking = tokio::spawn(keep_looking(following, tell));
    let shown = Shown {
        first,
        look: None,
        silent: None,
        mode: Mode::Watching,
        notice: None,
        settings: setup.settings.limits().ok(),
        palette: Palette { colours: ferry_telemetry::colours() },
    };
    let mut live =
        Live { setup, shown, screen: Screen::open()?, looks, order: None, drawn: Vec::new(), last_key: None };
    let watched = live.follow(stop).await;
    looking.abort();
    let Live { screen, order, shown, .. } = live;
    drop(screen);
    told_behind(&shown, order).await;
    watched
}

/// Looks until the run ends or nobody wants to know.
async fn keep_looking(mut following: Following, tell: mpsc::Sender<anyhow::Result<Sight>>) {
    let mut watching = Watching::default();
    loop {
        let sight = match following.look().await {
            Ok(Seen::Run(run, around)) => {
                let look = watching.look(&following.access, *run, around).await;
                Ok(Sight::Look(Box::new(look)))
            }
            Ok(Seen::Ended(run)) => Ok(Sight::Ended(Box::new((*run, following.access.clone())))),
            Ok(Seen::Silent(why)) => Ok(Sight::Silent(why)),
            Err(error) => Err(error),
        };
        let last = matches!(sight, Ok(Sight::Ended(..)) | Err(_));
        if tell.send(sight).await.is_err() || last {
            return;
        }
        tokio::time::sleep(EVERY).await;
    }
}

/// What the view had no time to show: what came of the last order, and what the table lacks.
async fn told_behind(shown: &Shown, order: Option<JoinHandle<String>>) {
    if let Some(order) = order
        && let Ok(told) = order.await
    {
        output::say(&told);
    }
    if let Some(lost) = shown.look.as_ref().and_then(|look| look.details.table.as_ref()) {
        output::say(&output::folded(&format!("warning: {lost}"), 0).join("\n"));
    }
}

struct Live<'a> {
    setup: &'a Setup,
    shown: Shown,
    screen: Screen,
    looks: mpsc::Receiver<anyhow::Result<Sight>>,
    order: Option<JoinHandle<String>>,
    drawn: Vec<Line<'static>>,
    last_key: Option<Instant>,
}

impl Live<'_> {
    async fn follow(&mut self, stop: &CancellationToken) -> anyhow::Result<Watched> {
        loop {
            self.draw()?;
            tokio::select! {
                () = stop.cancelled() => return Ok(self.left()),
                event = self.screen.event() => match event {
                    Some(event) => if !self.took(&event)? { return Ok(self.left()) },
                    None => return Ok(self.left()),
                },
                told = async { self.order.as_mut().expect("asked for below").await }, if self.order.is_some() => {
                    self.order = None;
                    self.shown.mode = Mode::Watching;
                    self.shown.notice = Some(told?);
                }
                sight = self.looks.recv() => match sight {
                    Some(Ok(Sight::Look(look))) => {
                        self.shown.look = Some(*look);
                        self.shown.silent = None;
                    }
                    Some(Ok(Sight::Silent(why))) => self.shown.silent = Some(why),
                    Some(Ok(Sight::Ended(ended))) => return Ok(Watched::Ended(ended)),
                    Some(Err(error)) => return Err(error),
                    None => anyhow::bail!("watching ended by a fault of Ferry; the run goes on"),
                },
            }
        }
    }

    fn left(&self) -> Watched {
        Watched::Left(Box::new(self.shown.run().clone()))
    }

    /// Takes a key or a change of size; whether to go on.
    fn took(&mut self, event: &Event) -> anyhow::Result<bool> {
        let key = match event {
            Event::Key(event) => Key::of(event),
            Event::Resize(..) => {
                self.drawn.clear();
                None
            }
            _ => None,
        };
        let Some(key) = key else { return Ok(true) };
        if self.is_pasted(key) {
            return Ok(true);
        }
        let mode = std::mem::replace(&mut self.shown.mode, Mode::Watching);
        let step = keys::press(mode, key, &self.shown.facts());
        self.shown.mode = step.mode;
        if step.action != Action::Redraw {
            self.shown.notice = step.notice;
        }
        match step.action {
            Action::Stay => {}
            Action::Quit => return Ok(false),
            Action::Redraw => {
                self.screen.clear()?;
                self.drawn.clear();
            }
            Action::Do(order) => self.order = Some(self.acts(order)),
        }
        Ok(true)
    }

    /// Whether a key came sooner after the one before than a person types. A text that is pasted is no order;
    /// what ends watching always is one.
    fn is_pasted(&mut self, key: Key) -> bool {
        let typed = matches!(self.shown.mode, Mode::Rate(_)) || key == Key::Interrupt;
        let now = Instant::now();
        let before = self.last_key.replace(now);
        !typed && before.is_some_and(|before| now.duration_since(before) < TYPED)
    }

    fn acts(&self, order: Order) -> JoinHandle<String> {
        let (setup, run) = (self.setup.clone(), self.shown.run().id);
        tokio::spawn(async move { orders::act(&setup, run, &order).await })
    }

    fn draw(&mut self) -> anyhow::Result<()> {
        anyhow::ensure!(screen::is_open(), "the terminal was given back; the run goes on");
        let size = self.screen.terminal.size()?;
        let page = view::page(&self.shown, size.width.into(), size.height.into());
        if page != self.drawn {
            let text = Text::from(page.clone());
            self.screen.terminal.draw(|frame| frame.render_widget(text, frame.area()))?;
            self.drawn = page;
        }
        Ok(())
    }
}
