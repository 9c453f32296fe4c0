// Written by pnpm api.

// index.d.ts
/// <reference lib="esnext.disposable" />
import { Context, Next } from "@iopa/appbuilder";
import { Extension } from "@iopa/appbuilder/extension";
import { ConnectOptions, Client } from "@iopa/transport";
interface TargetCredentials {
    readonly query?: string;
    readonly options?: readonly (readonly [
        number: number,
        value?: Uint8Array | string | number
    ])[];
}
type CredentialsFor = (target: string, context: Context) => TargetCredentials | undefined | Promise<TargetCredentials | undefined>;
interface UpstreamClient {
    connect(url: string | URL, options?: ConnectOptions): Promise<Client>;
}
interface CacheBounds {
    readonly entries?: number;
    readonly size?: number;
}
interface CoapProxyOptions {
    readonly targets?: readonly (string | URL)[];
    readonly client: UpstreamClient;
    readonly path?: string;
    readonly hopLimit?: number;
    readonly connections?: number;
    readonly idleTimeout?: number;
    readonly timeout?: number;
    readonly observations?: number;
    readonly largestAnswer?: number;
    readonly cache?: CacheBounds | false;
    readonly credentials?: CredentialsFor;
    readonly networks?: readonly string[];
    readonly lookup?: (host: string) => Promise<string>;
}
type CoapProxyExtension = Extension<Record<never, never>> & {
    invoke(context: Context, next: Next): unknown;
};
declare const coapProxy: (options: CoapProxyOptions) => CoapProxyExtension;
export { coapProxy };
export type { CacheBounds, CoapProxyExtension, CoapProxyOptions, CredentialsFor, TargetCredentials, UpstreamClient };
