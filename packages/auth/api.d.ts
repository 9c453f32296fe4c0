// Written by pnpm api.

// index.d.ts
/// <reference lib="esnext.disposable" />
import { User, MiddlewareFunction, Context } from "@iopa/appbuilder";
import { DefinedMiddleware } from "@iopa/appbuilder/extension";
import { KeyObject } from "node:crypto";
import { JSONWebKeySet, JWK, CryptoKey, JWTPayload } from "jose";
import { PeerCertificate } from "node:tls";
import { KeysDeclaration } from "@iopa/constants";
type Verified = User | null | undefined | false;
type Authentication = DefinedMiddleware<never, "server.User">;
type OptionalAuthentication = DefinedMiddleware<never, never>;
interface AnyOfOptions {
    readonly optional?: boolean;
}
declare function anyOf(alternatives: readonly MiddlewareFunction[], options: AnyOfOptions & {
    readonly optional: true;
}): OptionalAuthentication;
declare function anyOf(alternatives: readonly MiddlewareFunction[], options?: AnyOfOptions): Authentication;
interface ApiKeyOptions {
    readonly verify: (key: string, context: Context) => Verified | Promise<Verified>;
    readonly header?: string;
    readonly query?: string;
    readonly name?: string;
    readonly optional?: boolean;
}
declare function apiKey(options: ApiKeyOptions & {
    readonly optional: true;
}): OptionalAuthentication;
declare function apiKey(options: ApiKeyOptions): Authentication;
interface BasicOptions {
    readonly verify: (name: string, password: string, context: Context) => Verified | Promise<Verified>;
    readonly realm?: string;
    readonly name?: string;
    readonly optional?: boolean;
    readonly challenge?: boolean;
    readonly concurrency?: number;
    readonly queue?: number;
    readonly remember?: number;
}
declare function basic(options: BasicOptions & {
    readonly optional: true;
}): OptionalAuthentication;
declare function basic(options: BasicOptions): Authentication;
interface JwtOptions {
    readonly issuer: string | readonly string[];
    readonly audience: string | readonly string[];
    readonly jwks?: string | URL | JSONWebKeySet;
    readonly key?: string | JWK | KeyObject | CryptoKey;
    readonly secret?: string | Uint8Array;
    readonly algorithms?: readonly string[];
    readonly clockTolerance?: number;
    readonly user?: (claims: JWTPayload, context: Context) => Verified | Promise<Verified>;
}
interface BearerOptions {
    readonly verify?: (token: string, context: Context) => Verified | Promise<Verified>;
    readonly jwt?: JwtOptions;
    readonly connectPassword?: boolean;
    readonly realm?: string;
    readonly name?: string;
    readonly optional?: boolean;
}
declare function bearer(options: BearerOptions & {
    readonly optional: true;
}): OptionalAuthentication;
declare function bearer(options: BearerOptions): Authentication;
interface ClientCertificateOptions {
    readonly user: (certificate: PeerCertificate, context: Context) => Verified | Promise<Verified>;
    readonly name?: string;
    readonly optional?: boolean;
}
declare function clientCertificate(options: ClientCertificateOptions & {
    readonly optional: true;
}): OptionalAuthentication;
declare function clientCertificate(options: ClientCertificateOptions): Authentication;
declare module "@iopa/constants" {
    interface User {
        readonly roles?: readonly string[] | undefined;
    }
    interface IopaKeys {
        "auth.Challenges": string | undefined;
    }
}
declare const AUTH_KEYS: KeysDeclaration;
interface PasswordOptions {
    readonly cost?: number;
}
declare const hashPassword: (password: string, options?: PasswordOptions) => Promise<string>;
declare const verifyPassword: (password: string, stored: string | undefined, options?: PasswordOptions) => Promise<boolean>;
interface ProvenNameOptions {
    readonly user?: (name: string, context: Context) => Verified | Promise<Verified>;
    readonly name?: string;
    readonly optional?: boolean;
}
declare function preSharedKey(options: ProvenNameOptions & {
    readonly optional: true;
}): OptionalAuthentication;
declare function preSharedKey(options?: ProvenNameOptions): Authentication;
declare function rawPublicKey(options: ProvenNameOptions & {
    readonly optional: true;
}): OptionalAuthentication;
declare function rawPublicKey(options?: ProvenNameOptions): Authentication;
declare function securityContext(options: ProvenNameOptions & {
    readonly optional: true;
}): OptionalAuthentication;
declare function securityContext(options?: ProvenNameOptions): Authentication;
type Action = "read" | "observe" | "change" | (string & {});
interface Rule {
    readonly to: string | readonly string[];
    readonly may?: Action | readonly Action[];
    readonly anyone?: boolean;
    readonly roles?: string | readonly string[];
    readonly users?: string | readonly string[];
    readonly owner?: string;
    readonly when?: (context: Context, params: Readonly<Record<string, string>>) => boolean;
    readonly deny?: boolean;
}
declare const allow: (rules: readonly Rule[], ...surplus: never[]) => MiddlewareFunction;
declare const sameSecret: (given: string | Uint8Array, stored: string | Uint8Array) => boolean;
export { AUTH_KEYS, allow, anyOf, apiKey, basic, bearer, clientCertificate, hashPassword, preSharedKey, rawPublicKey, sameSecret, securityContext, verifyPassword };
export type { Action, AnyOfOptions, ApiKeyOptions, Authentication, BasicOptions, BearerOptions, ClientCertificateOptions, JwtOptions, OptionalAuthentication, PasswordOptions, ProvenNameOptions, Rule, Verified };
