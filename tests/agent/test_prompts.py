"""What the model reads of results is bounded and says so."""

from toolverifier.agent.prompts import render_results
from toolverifier.core import ToolCall, ToolResult


def test_long_results_are_cut_and_failures_are_named():
    call = ToolCall(id="1", name="read", arguments={"path": "a", "line": 3})
    long = ToolResult(call_id="1", name="read", content="x" * 50)
    failed = ToolResult(call_id="1", name="read", content="gone", error="execution")

    assert render_results([(call, long), (call, failed)], max_chars=10) == (
        "read(path='a', line=3): xxxxxxxxxx [cut, 40 more characters]\n"
        "read(path='a', line=3): failed: gone"
    )
