// Written by pnpm api.

// index.d.ts
/// <reference lib="esnext.disposable" />
import { IncomingMessage, ServerResponse } from "node:http";
import { User } from "@iopa/appbuilder";
import { DefinedMiddleware } from "@iopa/appbuilder/extension";
interface ConnectRequest extends IncomingMessage {
    [name: string]: unknown;
}
declare module "@iopa/constants" {
    interface IopaKeys {
        "connect.Request": ConnectRequest;
    }
}
interface ConnectOptions {
    readonly neutral?: boolean;
}
interface ConnectUserOptions extends ConnectOptions {
    readonly user: (user: never, request: ConnectRequest) => User | undefined;
}
type NodeMiddleware = (request: IncomingMessage, response: ServerResponse, next: (error?: unknown) => void) => unknown;
type AnyMiddleware = (request: never, response: never, next: never) => unknown;
interface Connect {
    (middleware: NodeMiddleware, options: ConnectUserOptions): DefinedMiddleware<never, "server.User">;
    (middleware: AnyMiddleware, options: ConnectUserOptions): DefinedMiddleware<never, "server.User">;
    (middleware: NodeMiddleware, options?: ConnectOptions): DefinedMiddleware<never, never>;
    (middleware: AnyMiddleware, options?: ConnectOptions): DefinedMiddleware<never, never>;
}
declare const connect: Connect;
export { connect };
export type { ConnectOptions, ConnectRequest, ConnectUserOptions };
