"""The service that one writes first: FastAPI and ``keras.Model.predict``, an image at a time.

    python benchmarks/plain_service.py MODEL.keras PORT

For comparison with ``glasses-spark serve`` in bench_serve.py.
"""

from __future__ import annotations

import sys

import cv2
import keras
import numpy as np
import uvicorn
from fastapi import FastAPI, HTTPException, Request

network = keras.models.load_model(sys.argv[1], compile=False)
app = FastAPI()


@app.post("/predict")
async def predict(request: Request) -> dict[str, float]:
    """Return the probability of one image."""
    content = np.frombuffer(await request.body(), np.uint8)
    image = cv2.imdecode(content, cv2.IMREAD_GRAYSCALE)
    if image is None:
        raise HTTPException(422)
    rows = cv2.resize(image, (128, 128))[np.newaxis, ..., np.newaxis].astype(np.float32) / 255
    return {"probability": float(network.predict(rows, verbose=0)[0, 0])}


if __name__ == "__main__":
    print("ready", flush=True)
    uvicorn.run(app, port=int(sys.argv[2]), log_level="warning")
