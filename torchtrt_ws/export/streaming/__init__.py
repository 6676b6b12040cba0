"""Export that knows about streaming: what should not be streamed stays out of the engine that is."""

from torchtrt_ws.export.streaming.options import StreamingOptions

__all__ = ["StreamingOptions"]
