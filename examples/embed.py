"""An agent inside an application: it shows what is going on, asks before something changes, and asks back.

python examples/embed.py "Heat the office to 21 degrees"
"""

import argparse
import asyncio
from typing import Literal

from toolverifier import Agent, ToolCall, ToolError, ToolSpec, Trajectory, load_model, tool
from toolverifier.agent import CallFinished, RunFinished, ToolDecided

Room = Literal["kitchen", "office", "library"]
TARGETS: dict[str, int] = {"kitchen": 19, "office": 18}


@tool(effect="read")
def target_temperature(room: Room) -> str:
    """Tells to which temperature a room is heated at the moment.

    Args:
        room: Which room.
    """
    if room not in TARGETS:
        raise ToolError(f"The {room} is not heated.")
    return f"The {room} is heated to {TARGETS[room]} degrees."


@tool(effect="write")
def heat_room(room: Room, degrees: int) -> str:
    """Heats a room to a temperature from now on.

    Args:
        room: Which room.
        degrees: Wanted temperature in degrees Celsius.
    """
    TARGETS[room] = degrees
    return f"The {room} is now heated to {degrees} degrees."


async def ask_user(question: str) -> str:
    return await asyncio.to_thread(input, f"{question} ")


async def approve(call: ToolCall, spec: ToolSpec) -> bool:
    reply = await ask_user(
        f"{call.name}({call.arguments}) will {spec.effect}. Make the call? [y/N]"
    )
    return reply.strip().lower() == "y"


async def serve(agent: Agent, request: str) -> Trajectory:
    """Runs the request, and goes on from the agent's questions until there is none."""
    after = None
    while True:
        async for event in agent.stream(request, after=after):
            match event:
                case ToolDecided(decision=decision):
                    best = decision.candidates[0]
                    print(f"tool: {best.name} ({best.probability:.0%})")
                case CallFinished(call=call, result=result):
                    print(
                        f"{'failed' if result.error else 'called'}: {call.name}: {result.content}"
                    )
                case RunFinished(trajectory=after):
                    pass
        assert after is not None
        if after.stop_reason != "needs_input":
            return after
        request = await ask_user(after.answer or "")


async def main(request: str, model_name: str) -> None:
    model = await load_model(model_name)
    try:
        agent = Agent(model, tools=[target_temperature, heat_room], approve=approve)
        trajectory = await serve(agent, request)
        print(f"{trajectory.stop_reason}: {trajectory.answer or '-'}")
    finally:
        await model.aclose()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("request")
    parser.add_argument("--model", default="hf:qwen2.5-coder-1.5b")
    given = parser.parse_args()
    asyncio.run(main(given.request, given.model))
