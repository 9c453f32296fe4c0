// Written by pnpm api.

// index.d.ts
/// <reference lib="esnext.disposable" />
import { DefinedMiddleware } from "@iopa/appbuilder/extension";
declare const NONCE: unique symbol;
type PolicyDirectives = Readonly<Record<string, readonly (string | typeof NONCE)[] | false>>;
declare const DEFAULT_DIRECTIVES: PolicyDirectives;
interface SecureHeadersOptions {
    readonly contentSecurityPolicy?: PolicyDirectives | false;
    readonly contentSecurityPolicyReportOnly?: PolicyDirectives;
    readonly crossOriginEmbedderPolicy?: string | false;
    readonly crossOriginOpenerPolicy?: string | false;
    readonly crossOriginResourcePolicy?: string | false;
    readonly originAgentCluster?: string | false;
    readonly permissionsPolicy?: string | false;
    readonly referrerPolicy?: string | false;
    readonly strictTransportSecurity?: string | false;
    readonly xContentTypeOptions?: string | false;
    readonly xDnsPrefetchControl?: string | false;
    readonly xFrameOptions?: string | false;
    readonly xPermittedCrossDomainPolicies?: string | false;
    readonly xXssProtection?: string | false;
    readonly crossSite?: "refuse" | "allow";
    readonly trustedOrigins?: readonly string[];
}
declare const secureHeaders: (options?: SecureHeadersOptions) => DefinedMiddleware<never, "csp.Nonce">;
declare module "@iopa/constants" {
    interface IopaKeys {
        "csp.Nonce": string;
    }
}
export { DEFAULT_DIRECTIVES, NONCE, secureHeaders };
export type { PolicyDirectives, SecureHeadersOptions };
