"""A child process: started, watched, restarted with growing delays, stopped."""
import pwd
from typing import Any


def run_as(account: pwd.struct_passwd | None) -> dict[str, Any]:
    """The arguments that make subprocess start a program under `account`, in no group of ours."""
    return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []} if account else {}
