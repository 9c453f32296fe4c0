// Written by pnpm api.

// fetch.d.ts
/// <reference lib="esnext.disposable" />
import { App } from "@iopa/appbuilder";
import { H as HandlerOptions } from "./handler-options.js";
import "@iopa/transport";
import "./options.js";
type FetchOptions = HandlerOptions<Request>;
declare const toFetchHandler: (app: Pick<App, "host">, options?: FetchOptions) => ((request: Request) => Promise<Response>);
export { HandlerOptions, toFetchHandler };
export type { FetchOptions };

// handler-options.d.ts
/// <reference lib="esnext.disposable" />
import { Limits } from "@iopa/transport";
import { E as EventOptions } from "./options.js";
interface HandlerOptions<R> extends EventOptions {
    readonly hosts?: readonly string[];
    readonly limits?: Partial<Limits>;
    readonly remoteAddress?: (request: R) => string;
}
export type { HandlerOptions as H };

// index.d.ts
/// <reference lib="esnext.disposable" />
import { Transport } from "@iopa/transport";
import { H as HttpOptions } from "./options.js";
export { E as EventOptions, a as Http2Options, b as HttpClientOptions } from "./options.js";
declare function http(options?: HttpOptions): Transport;
declare module "@iopa/constants" {
    interface IopaKeys {
        "http.Redirect": "follow" | "manual";
        "http.Trailers": Readonly<Record<string, string | (() => string | Promise<string>)>>;
    }
}
export { HttpOptions, http };

// node.d.ts
/// <reference lib="esnext.disposable" />
import { IncomingMessage, ServerResponse } from "node:http";
import { App } from "@iopa/appbuilder";
import { H as HandlerOptions } from "./handler-options.js";
import "@iopa/transport";
import "./options.js";
type NodeHandlerOptions = HandlerOptions<IncomingMessage>;
type NodeHandler = (request: IncomingMessage, response: ServerResponse, next?: (error?: unknown) => void) => void;
declare const toNodeHandler: (app: Pick<App, "host">, options?: NodeHandlerOptions) => NodeHandler;
export { HandlerOptions, toNodeHandler };
export type { NodeHandler, NodeHandlerOptions };

// options.d.ts
/// <reference lib="esnext.disposable" />
import { TlsOptions, Limits, Clock, ByteNetwork } from "@iopa/transport";
interface EventOptions {
    readonly retry?: number;
    readonly heartbeat?: number;
}
interface Http2Options {
    readonly streams?: number;
}
interface HttpClientOptions {
    readonly redirect?: "follow" | "manual";
    readonly decompress?: boolean;
    readonly proxy?: string;
}
interface HttpOptions extends EventOptions {
    readonly host?: string;
    readonly port?: number;
    readonly path?: string;
    readonly mode?: number;
    readonly fd?: number | "systemd";
    readonly hosts?: readonly string[];
    readonly trustProxy?: readonly string[];
    readonly proxyProtocol?: readonly string[];
    readonly tls?: TlsOptions;
    readonly http2?: boolean | Http2Options;
    readonly client?: HttpClientOptions;
    readonly limits?: Partial<Limits>;
    readonly clock?: Clock;
    readonly network?: ByteNetwork;
}
export type { EventOptions as E, HttpOptions as H, Http2Options as a, HttpClientOptions as b };
