// Written by pnpm api.

// index.d.ts
/// <reference lib="esnext.disposable" />
import { DefinedMiddleware, DeclaredMiddleware, AppHandle } from "@iopa/appbuilder/extension";
import { User } from "@iopa/appbuilder";
interface CookieAttributes {
    readonly maxAge?: number;
    readonly expires?: Date;
    readonly path?: string;
    readonly domain?: string;
    readonly secure?: boolean;
    readonly httpOnly?: boolean;
    readonly sameSite?: "strict" | "lax" | "none";
    readonly partitioned?: boolean;
    readonly priority?: "low" | "medium" | "high";
}
interface CookiesOptions extends CookieAttributes {
    readonly keys?: readonly (string | Uint8Array)[];
}
declare const cookies: (options?: CookiesOptions) => DefinedMiddleware<never, "cookies.Jar">;
interface CookieJar {
    get(name: string): string | undefined;
    getSigned(name: string): string | undefined;
    all(): Readonly<Record<string, string | undefined>>;
    set(name: string, value: string, attributes?: CookieAttributes): void;
    setSigned(name: string, value: string, attributes?: CookieAttributes): void;
    delete(name: string, attributes?: Pick<CookieAttributes, "domain" | "path" | "secure" | "partitioned" | "sameSite">): void;
}
interface SessionPlace {
    readonly expires: number;
    readonly ttl: number;
    readonly owner: string | undefined;
}
interface SessionStore {
    get(key: string): string | undefined | null | Promise<string | undefined | null>;
    set(key: string, value: string, place: SessionPlace): unknown;
    delete(key: string): unknown;
}
interface MemorySessionsOptions {
    readonly maxSessions?: number;
    readonly maxBytes?: number;
    readonly maxPerUser?: number;
}
declare const memorySessions: (options?: MemorySessionsOptions) => SessionStore & {
    readonly size: number;
};
interface Session {
    readonly isNew: boolean;
    get<Value = unknown>(name: string): Value | undefined;
    set(name: string, value: unknown): void;
    delete(name: string): void;
    regenerate(): void;
    destroy(): void;
}
interface SessionsOptions {
    readonly store?: SessionStore;
    readonly cookie?: Omit<CookieAttributes, "maxAge" | "expires"> & {
        readonly name?: string;
    };
    readonly keys?: readonly (string | Uint8Array)[];
    readonly maxAge?: number;
    readonly rolling?: boolean;
    readonly absolute?: number;
    readonly user?: (session: Pick<Session, "get">) => User | undefined;
}
type SessionsMiddleware = DeclaredMiddleware<never, "session.Session"> & {
    extend(app: AppHandle): object;
};
declare const sessions: (options?: SessionsOptions) => SessionsMiddleware;
declare module "@iopa/constants" {
    interface IopaKeys {
        "cookies.Jar": CookieJar;
        "session.Session": Session;
    }
}
export { cookies, memorySessions, sessions };
export type { CookieAttributes, CookieJar, CookiesOptions, MemorySessionsOptions, Session, SessionPlace, SessionStore, SessionsOptions };
