// Type-checked only: the class of npm's ws is one that the transport takes.

import { webSocket, type WebSocketTransport } from "@coterie/sdk/ws";
import WebSocket from "ws";

export const transport: WebSocketTransport = webSocket("ws://127.0.0.1:1", { WebSocket });
