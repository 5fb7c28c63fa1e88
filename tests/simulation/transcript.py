"""A world's story as people read it: when, who, what it heard, what it decided, what changed."""

from typing import Any

from agent.core import model as agent
from agent.runtimes.runtime import Ref
from controller.core import model as controller
from controller.core.absences import Presence
from headrace.attempts import Attempt
from headrace.events import Event as Happening
from headrace.jobs import Job
from headrace.nodes import Node
from headrace.projects import Use
from headrace.refusals import Refusal
from headrace.sessions import Assignment, Placement, Report
from tests.simulation.process import Process
from tests.simulation.works import ref_of

INDENT = " " * 22


class Transcript:
    """Takes a story down, line by line. What says nothing new is left out."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        # Set by the world whose story it is.
        self.now_ms = 0
        self._said: dict[tuple[str, str], str] = {}

    def noted(self, who: str, kind: str, text: str) -> None:
        """Something happened outside of the cores."""
        self._line(who, f"[{kind}] {text}" if kind == "fault" else text)

    def judged(self, process: Process, event: object, effects: list[Any]) -> None:
        """A core has judged an event."""
        told = [line for effect in effects if (line := self._effect(process.name, effect))]
        heard = self._event(process.name, event)
        if heard or told:
            self._line(process.name, heard or "time passes")
            self.lines += [f"{INDENT}{line}" for line in told]

    def _line(self, who: str, text: str) -> None:
        self.lines.append(f"{self.now_ms / 1000:8.3f}  {who:<10}  {text}")

    def _news(self, who: str, about: str, text: str) -> str:
        """The text, if it is not what was said of this last."""
        if self._said.get((who, about)) == text:
            return ""
        self._said[who, about] = text
        return text

    def _event(self, who: str, event: object) -> str:
        match event:
            case agent.Ticked() | controller.Ticked() | agent.Sensed():
                return ""
            case controller.Reported(report):
                return self._news(who, f"report of {report.node}", f"hears {report.node}: {_report(report)}")
            case controller.SessionOver(node, session):
                return f"the stream of {node}'s session {session} is over"
            case agent.Assigned(assignment):
                return self._news(who, "assignment", f"hears: {_assignment(assignment)}")
            case agent.EngineFound(_, containers):
                listed = ", ".join(f"{_ref(one.ref)} {one.state.name}" for one in containers) or "nothing"
                return self._news(who, "list", f"the engine lists {listed}")
            case agent.EngineLost():
                self._said.pop((who, "list"), None)
                return "the engine does not answer"
            case agent.Exited(ref, code):
                return f"{_ref(ref)} has exited with {code}"
            case agent.Connected(session) | agent.Disconnected(session):
                return f"session {session} {'is open' if isinstance(event, agent.Connected) else 'is over'}"
            case agent.Fetched(fetched):
                return f"what {fetched.job} may need: {fetched.state.name}"
            case agent.NotStarted(ref, reason):
                return f"not started: {_ref(ref)}, {reason}"
            case agent.Interrupted(ref, _, asked) | agent.Declined(ref, _, asked):
                return f"{type(event).__name__.lower()}: {asked.__name__} {_ref(ref)}"
            case agent.Saved(ref, checkpoint) | agent.Collected(ref, checkpoint):
                what = (
                    f"checkpoint {checkpoint.digest.partition(':')[2]}" if checkpoint is not None else "no checkpoint"
                )
                return f"{type(event).__name__.lower()}: {_ref(ref)}, {what}"
            case controller.Submitted(id=job):
                return f"a user submits {job}"
            case controller.MoveAsked(id=job, target=target):
                return f"a user asks to move {job} to {target or 'wherever it fits'}"
            case controller.CancelAsked(id=job):
                return f"a user cancels {job}"
            case controller.DrainAsked(node=node, drain=drain, deadline_ms=deadline_ms):
                within = f" within {deadline_ms} ms" if deadline_ms is not None else ""
                return f"an operator asks for {node}: drain {drain.name}{within}"
        about: Ref | None = getattr(event, "ref", None)
        return f"{type(event).__name__.lower()}: {_ref(about)}" if about is not None else type(event).__name__

    def _effect(self, who: str, effect: object) -> str:
        match effect:
            case agent.Keep(held):
                text = self._news(who, f"attempt {held.ref}", _attempt(held.attempt))
                return f"writes down: {text}" if text else ""
            case agent.Forget(ref):
                return f"forgets {_ref(ref)}"
            case agent.Remember(memory):
                return f"writes down: session {memory.session}"
            case agent.Send(report):
                text = self._news(who, "report", _report(report))
                return f"→ controller: {text}" if text else ""
            case agent.OpenSession(session):
                return f"→ controller: opens session {session}"
            case agent.Relist() | agent.Follow() | agent.Warn() | controller.Changed():
                return ""
            case agent.Fetch(hint) | agent.DropFetched(hint):
                what = "brings" if isinstance(effect, agent.Fetch) else "drops"
                return f"{what} what {hint.job} may need"
            case controller.Save(Job() as job):
                text = self._news(who, job.name, _job(job))
                return f"saves {text}" if text else ""
            case controller.Save(Node() as node):
                drain = f", {node.drain.name}" if node.drain.value else ""
                text = self._news(who, node.name, f"{node.name} {node.state.name}{drain}")
                return f"saves {text}" if text else ""
            case controller.Save(controller.LeaseTold(agent_ms)):
                return f"saves a lease of {agent_ms / 1000:g} s"
            case controller.Save(Use() | Presence()):
                return ""
            case controller.Save(Happening() as happening):
                return f"notes {happening.reason}: {happening.message}"
            case controller.Assign(node, assignment):
                text = self._news(who, f"assignment of {node}", _assignment(assignment))
                return f"→ {node}: {text}" if text else ""
            case controller.Reject(node, session):
                return f"→ {node}: session {session} is ended"
            case controller.Answer(_, value):
                return f"→ user: {value.message}" if isinstance(value, Refusal) else ""
        return f"does {type(effect).__name__} {_ref(ref_of(effect))}"


def _ref(ref: Ref) -> str:
    return f"{ref.job}#{ref.epoch}"


def _attempt(attempt: Attempt) -> str:
    code = f" ({attempt.exit_code})" if attempt.exit_code is not None else ""
    reason = f" {attempt.reason}" if attempt.reason else ""
    return f"{attempt.job}#{attempt.epoch} {attempt.state.name}{code}{reason}"


def _report(report: Report) -> str:
    attempts = ", ".join(map(_attempt, report.attempts)) or "runs nothing"
    brought = "".join(f"; has brought for {one.job}: {one.state.name}" for one in report.prefetched)
    if report.engine is None:
        return f"{attempts}{brought}; has not asked its engine yet"
    return attempts + brought + ("" if report.engine.reachable else "; its engine does not answer")


def _assignment(assignment: Assignment) -> str:
    wanted = ", ".join(map(_placement, assignment.placements)) or "run nothing"
    hints = "".join(f"; {one.job} may come" for one in assignment.prefetches)
    return f"generation {assignment.generation} of session {assignment.session}: {wanted}{hints}"


def _placement(placement: Placement) -> str:
    restore = f" from {placement.restore.partition(':')[2]}" if placement.restore else ""
    devices = f" with {', '.join(placement.devices)}" if placement.devices else ""
    return f"{placement.goal.name} {placement.job}#{placement.epoch}{restore}{devices}"


def _job(job: Job) -> str:
    move = job.migration
    moving = f", moving to {move.target}: {move.state.name}" if move is not None else ""
    place = f" on {job.node}" if job.node else ""
    return f"{job.name} {job.state.name}, epoch {job.epoch}{place}{moving}"
