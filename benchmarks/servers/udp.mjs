// Every datagram comes back: each is a DATA request through the app, at its defaults but for the framing.
import { App } from '@iopa/appbuilder'
import { udp } from '@iopa/udp'

export async function start({ port, host }) {
  const app = new App().use(udp({ port, host, framing: 'raw' })).use(context => context.body)
  await app.listen()
  return { close: () => app.close({ timeout: 100 }) }
}
