"""The bound of row 1 and 2: FastAPI reads the same request model and answers with it. No database.

python -m bench.peers.echo --port 20001
"""

from fastapi import FastAPI

from bench.peers.serving import serve
from mediagen.api.schemas import GenerateRequest

app = FastAPI()


@app.post("/api/v1/generate", status_code=202)
async def echo(asked: GenerateRequest) -> GenerateRequest:
    """Answer with what was asked."""
    return asked


if __name__ == "__main__":
    serve(app)
