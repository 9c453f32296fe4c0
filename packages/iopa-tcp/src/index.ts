/**
 * TCP for IOPA apps: bags as lines of JSON, or plain messages in a framing of your choice.
 *
 * @example
 * const app = new App().use(router()).use(tcp({ port: 7000 }))
 * app.get('/hello', () => 'Hello World')
 * await app.listen()
 */

export type { FrameReader, Framing } from './framing.ts'
export type { FixedOption, FramingOption, LengthPrefixedOption } from './framing-option.ts'
export type { TcpOptions } from './options.ts'
export { tcp } from './tcp.ts'
