"""IdentityService over gRPC: proto → use case → proto."""

from typing import Final

from chassis.contract.wire import timestamp
from chassis.core import ids
from chassis.rpc.call import Call
from services.identity.domain import Role, TokenPair, User
from services.identity.usecases import UseCases
from tradewind.identity.v1 import identity_service_pb2 as pb
from tradewind.identity.v1 import user_pb2

_ROLES: Final = {user_pb2.ROLE_CUSTOMER: Role.CUSTOMER, user_pb2.ROLE_STAFF: Role.STAFF}
_ROLE_NUMBERS: Final = {role: number for number, role in _ROLES.items()}


class IdentityServicer:
    """Users, sessions and the keys that sign access tokens."""

    def __init__(self, usecases: UseCases) -> None:
        self._usecases = usecases

    async def RegisterUser(self, request: pb.RegisterUserRequest, call: Call) -> pb.RegisterUserResponse:
        """Opens an account. The slow hashing comes first: no transaction waits for it."""
        password_hash = await self._usecases.hash_new_password(request.email, request.password)
        async with call.once() as tx:
            user = await self._usecases.register(tx, request.email, request.display_name, password_hash)
            return tx.reply(pb.RegisterUserResponse(profile=_profile(user)))

    async def Login(self, request: pb.LoginRequest, call: Call) -> pb.LoginResponse:
        """Opens a session. The password is asked for again even when the answer is a stored one."""
        user = await self._usecases.authenticate(request.email, request.password)
        async with call.once() as tx:
            return tx.reply(pb.LoginResponse(tokens=_tokens(await self._usecases.open_session(tx, user))))

    async def RefreshSession(self, request: pb.RefreshSessionRequest, call: Call) -> pb.RefreshSessionResponse:
        """Exchanges a refresh token."""
        async with call.once() as tx:
            return tx.reply(
                pb.RefreshSessionResponse(tokens=_tokens(await self._usecases.refresh(tx, request.refresh_token)))
            )

    async def Logout(self, request: pb.LogoutRequest, call: Call) -> pb.LogoutResponse:
        """Ends a session."""
        async with call.once() as tx:
            await self._usecases.log_out(tx, request.refresh_token)
            return tx.reply(pb.LogoutResponse())

    async def GetProfile(self, request: pb.GetProfileRequest, call: Call) -> pb.GetProfileResponse:
        """The caller's own profile."""
        return pb.GetProfileResponse(profile=_profile(await self._usecases.profile(call.user.subject)))

    async def UpdateProfile(self, request: pb.UpdateProfileRequest, call: Call) -> pb.UpdateProfileResponse:
        """Changes the caller's own display name: the one field a mask can name."""
        async with call.once() as tx:
            user = await self._usecases.rename(tx, call.user.subject, request.display_name, request.etag)
            return tx.reply(pb.UpdateProfileResponse(profile=_profile(user)))

    async def SetRoles(self, request: pb.SetRolesRequest, call: Call) -> pb.SetRolesResponse:
        """Sets the roles of a user."""
        async with call.once() as tx:
            user = await self._usecases.set_roles(
                tx, ids.canonical(request.user_id), frozenset(_ROLES[role] for role in request.roles)
            )
            return tx.reply(pb.SetRolesResponse(profile=_profile(user)))

    async def RotateSigningKey(self, request: pb.RotateSigningKeyRequest, call: Call) -> pb.RotateSigningKeyResponse:
        """Makes a new signing key."""
        async with call.once() as tx:
            key = await self._usecases.rotate_signing_key(tx)
            return tx.reply(pb.RotateSigningKeyResponse(key_id=key.key_id, activate_time=timestamp(key.active_at)))


def _profile(user: User) -> user_pb2.Profile:
    return user_pb2.Profile(
        user_id=user.user_id,
        email=user.email,
        display_name=user.display_name,
        roles=sorted(_ROLE_NUMBERS[role] for role in user.roles),
        register_time=timestamp(user.registered_at),
        etag=user.etag,
    )


def _tokens(tokens: TokenPair) -> user_pb2.TokenPair:
    return user_pb2.TokenPair(
        access_token=tokens.access.text,
        access_token_expire_time=timestamp(tokens.access.expires_at),
        refresh_token=tokens.refresh.text,
        refresh_token_expire_time=timestamp(tokens.refresh_expires_at),
    )
