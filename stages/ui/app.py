"""The application: page and API of one home folder, behind the guard."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.resources import files
from pathlib import Path

from fastapi import FastAPI
from fastapi.routing import APIRoute
from fastapi.staticfiles import StaticFiles

from ... import __version__
from . import errors
from .routes import jobs, live, plugins, songs, voices
from .security import Guard
from .service import Service
from .settings import ServerSettings
from .uploads import clear_partials

STATIC = Path(str(files("svc.stages.ui") / "static"))


def create_app(settings: ServerSettings) -> FastAPI:
    """The application of a home folder. Its workers start with it and end with it."""
    service = Service(settings)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        clear_partials(service.home)
        service.start()
        yield
        service.stop()

    app = FastAPI(
        title="svc",
        version=__version__,
        summary="Singing voice conversion: voices, songs, jobs, results.",
        openapi_url="/api/v1/openapi.json",
        docs_url=None,  # they load scripts from elsewhere
        redoc_url=None,
        lifespan=lifespan,
        generate_unique_id_function=_operation,
    )
    app.state.service = service
    errors.install(app)
    for module in (voices, songs, jobs, plugins, live):
        app.include_router(module.router)
    app.mount("/", StaticFiles(directory=STATIC, html=True))
    app.add_middleware(Guard, settings=settings)
    return app


def _operation(route: APIRoute) -> str:
    return route.name
