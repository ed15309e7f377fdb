//! What others ask of this peer: the person answers or declines; programs' answers are listed too.

use mycomesh_core::snapshot::{Direction, MeView, Table, TaskView};
use mycomesh_core::wire::Skill;
use yew::prelude::*;

use super::tasks::TaskList;
use crate::{actions::View, section::Section, words};

#[derive(Properties, PartialEq)]
pub struct InboxProps {
    pub me: Section<MeView>,
    pub tasks: Section<Table<TaskView>>,
}

#[function_component]
pub fn InboxView(props: &InboxProps) -> Html {
    let human = props.me.skills.contains(&Skill::human());
    let waiting = waiting(&props.tasks);
    let summary = match (waiting, human, props.me.busy) {
        (1.., ..) => format!("{} for you.", words::count(waiting, "task waits", "tasks wait")),
        (0, false, _) => "You do not offer “human”, so nobody asks you in person.".to_owned(),
        (0, true, true) => "You are switched to busy; others see it and may wait.".to_owned(),
        (0, true, false) => "Nothing waits for you.".to_owned(),
    };
    html! {
        <>
            <p class="summary">{ summary }
                if !human {
                    {" "}<a href={format!("#{}", View::Settings.key())}>{"Change that in Settings"}</a>{"."}
                }
            </p>
            <TaskList tasks={props.tasks.clone()} direction={Direction::In}
                empty="When somebody asks you something, it shows here and you answer it in your own words." />
        </>
    }
}

/// Tasks that wait for this person.
pub fn waiting(tasks: &Table<TaskView>) -> usize {
    tasks.rows.iter().filter(|task| task.answerable).count()
}
