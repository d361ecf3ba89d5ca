"""The bound of the start-up: FastAPI with one route.

python -m bench.peers.bare --port 20001
"""

from fastapi import FastAPI

from bench.peers.serving import serve

app = FastAPI()


@app.get("/")
async def hello() -> dict[str, str]:
    """Answer."""
    return {"hello": "world"}


if __name__ == "__main__":
    serve(app)
