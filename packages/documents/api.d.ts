// Written by pnpm api.

// index.d.ts
/// <reference lib="esnext.disposable" />
import { MiddlewareFunction, MiddlewareObject, App } from "@iopa/appbuilder";
import { RouteInfo, Extension } from "@iopa/appbuilder/extension";
import { V as Viewer } from "./viewer.js";
export { D as DocumentLinks, a as ViewerFile } from "./viewer.js";
interface DescribedTransport {
    readonly name: string;
    readonly schemes: readonly string[];
    readonly urls: readonly string[];
}
interface ApiInfo {
    readonly title: string;
    readonly version: string;
    readonly description?: string;
    readonly contact?: {
        readonly name?: string;
        readonly url?: string;
        readonly email?: string;
    };
    readonly license?: {
        readonly name: string;
        readonly identifier?: string;
        readonly url?: string;
    };
}
type JsonSchema = Readonly<Record<string, unknown>>;
declare const OPENAPI_VERSIONS: readonly [
    "3.2",
    "3.1"
];
type OpenApiVersion = (typeof OPENAPI_VERSIONS)[number];
interface ApiOptions extends ApiInfo {
    readonly servers?: readonly string[];
}
interface DocumentPaths {
    readonly openapi?: string | false;
    readonly asyncapi?: string | false;
    readonly thing?: string | false;
    readonly things?: string | false;
    readonly page?: string | false;
}
interface DocumentsOptions extends ApiOptions {
    readonly protect?: true | MiddlewareFunction | MiddlewareObject | readonly (MiddlewareFunction | MiddlewareObject)[];
    readonly viewer?: Viewer;
    readonly paths?: DocumentPaths;
}
interface DocumentedApp {
    readonly capabilities: App["capabilities"];
    routes(): Iterable<RouteInfo>;
    explain(): {
        readonly transports: readonly DescribedTransport[];
    };
}
declare const openapi: (app: DocumentedApp, options: ApiOptions, version?: OpenApiVersion) => JsonSchema;
declare const asyncapi: (app: DocumentedApp, options: ApiOptions) => JsonSchema;
declare const thing: (app: DocumentedApp, options: ApiOptions) => JsonSchema;
declare const documents: (options: DocumentsOptions) => Extension<object>;
export { Viewer, asyncapi, documents, openapi, thing };
export type { ApiInfo, ApiOptions, DocumentPaths, DocumentedApp, DocumentsOptions, JsonSchema, OpenApiVersion };

// scalar.d.ts
/// <reference lib="esnext.disposable" />
import { Viewer } from "./index.js";
interface ScalarOptions {
    readonly configuration?: Readonly<Record<string, unknown>>;
}
declare const scalar: (options?: ScalarOptions) => Viewer;
export { scalar };
export type { ScalarOptions };

// viewer.d.ts
/// <reference lib="esnext.disposable" />
interface DocumentLinks {
    readonly openapi: string | undefined;
    readonly asyncapi: string | undefined;
    readonly thing: string | undefined;
    readonly things: string | undefined;
    readonly files: string;
}
interface ViewerFile {
    readonly type: string;
    readonly body: string | Uint8Array;
    readonly policy?: string;
}
interface Viewer {
    files(title: string, links: DocumentLinks): Promise<Readonly<Record<string, ViewerFile>>>;
}
export type { DocumentLinks as D, Viewer as V, ViewerFile as a };
