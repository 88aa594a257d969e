"""The demo's story, told to a stack of our own."""

from tests.journeys.world import World
from tools.demo.stage import Stage
from tools.demo.story import Story


async def test_the_morning_comes_out_as_told(world: World) -> None:
    """One order is confirmed, one declined and undone, one runs out of stock; the mails go out and the books balance.

    None of that is an error to PostgreSQL: what is no fault leaves no ERROR in its log.
    """
    log = world.stack.directory.log("database")
    before = log.stat().st_size
    email, password = (world.stack.secret("identity", name) for name in ("staff_email", "staff_password"))
    await Story(world.shop, Stage(), world.stack.directory.mail, email, password).tell()
    said = log.read_bytes()[before:].decode()
    assert [line for line in said.splitlines() if "ERROR:" in line] == []
