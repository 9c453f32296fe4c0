/**
 * Header fields that make browsers careful, and refusal of changes that another site asks for, for HTTP.
 *
 * @example
 * const app = new App()
 *   .use(secureHeaders({ contentSecurityPolicy: { scriptSrc: ["'self'", NONCE] } }))
 *   .use(context => reply(200, page(context['csp.Nonce']), { 'content-type': 'text/html' }))
 *   .use(http({ port: 8080 }))
 */

export type { PolicyDirectives } from './content-security-policy.ts'
export { DEFAULT_DIRECTIVES, NONCE } from './content-security-policy.ts'
export type { SecureHeadersOptions } from './options.ts'
export { secureHeaders } from './secure-headers.ts'
