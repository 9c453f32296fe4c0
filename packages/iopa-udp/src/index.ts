/**
 * UDP for IOPA apps: a JSON bag per datagram, or plain datagrams.
 *
 * @example
 * const app = new App().use(router()).use(udp({ port: 7001 }))
 * app.get('/hello', () => 'Hello World')
 * await app.listen()
 */

export type { UdpOptions } from './options.ts'
export { udp } from './udp.ts'
