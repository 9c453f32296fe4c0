// Written by pnpm api.

// index.d.ts
/// <reference lib="esnext.disposable" />
import { Logger, Context, Next } from "@iopa/appbuilder";
import { Extension, DefinedMiddleware } from "@iopa/appbuilder/extension";
import { KeysDeclaration } from "@iopa/constants";
type LogEvent = "request" | "observation-begun" | "observation-ended" | "notification" | "connection-opened" | "connection-closed" | "refused" | "summary";
type LogLevel = "info" | "warn" | "error";
interface LogRecord {
    readonly level: LogLevel;
    readonly time: number;
    readonly event: LogEvent;
    readonly requestId?: string | undefined;
    readonly method?: string | undefined;
    readonly path?: string | undefined;
    readonly query?: string | undefined;
    readonly status?: number | undefined;
    readonly bytes?: number | undefined;
    readonly duration?: number | undefined;
    readonly user?: string | undefined;
    readonly protocol?: string | undefined;
    readonly transport?: string | undefined;
    readonly peer?: string | undefined;
    readonly code?: string | undefined;
    readonly aborted?: boolean | undefined;
    readonly deliveries?: number | undefined;
    readonly reason?: string | undefined;
    readonly replica?: boolean | undefined;
    readonly of?: string | undefined;
    readonly count?: number | undefined;
    readonly addresses?: string | undefined;
    readonly headers?: Readonly<Record<string, string>> | undefined;
    readonly fields?: Readonly<Record<string, unknown>> | undefined;
}
interface LogStream {
    write(line: string): unknown;
    readonly writableLength?: number;
}
type LogDestination = Logger | LogStream | ((line: string, record: LogRecord) => unknown);
type LogFormat = "json" | "pretty";
declare module "@iopa/constants" {
    interface IopaKeys {
        "log.RequestId": string;
    }
}
declare const LOG_KEYS: KeysDeclaration;
interface LogOptions {
    readonly to?: LogDestination;
    readonly format?: LogFormat;
    readonly headers?: readonly string[];
    readonly fields?: (context: Context) => Readonly<Record<string, unknown>>;
    readonly redact?: readonly string[];
    readonly sample?: number;
    readonly skip?: (context: Context) => boolean;
    readonly connections?: boolean;
    readonly notifications?: boolean;
    readonly perSecond?: number;
}
type Log = Extension<object> & {
    readonly neutral: true;
    readonly keys: typeof LOG_KEYS;
    invoke(context: Context, next: Next): unknown;
};
declare const log: (options?: LogOptions) => Log;
interface RequestIdOptions {
    readonly header?: string;
    readonly trust?: boolean | ((context: Context) => boolean);
}
declare const requestId: (options?: RequestIdOptions) => DefinedMiddleware<never, "log.RequestId">;
export { log, requestId };
export type { Log, LogDestination, LogEvent, LogFormat, LogLevel, LogOptions, LogRecord, LogStream, RequestIdOptions };
