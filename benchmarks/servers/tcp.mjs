// Every 64-byte message comes back: each is a DATA request through the app, at its defaults but for the framing.
import { App } from '@iopa/appbuilder'
import { tcp } from '@iopa/tcp'

export async function start({ port, host }) {
  const app = new App().use(tcp({ port, host, framing: { type: 'fixed', bytes: 64 } })).use(context => context.body)
  await app.listen()
  return { close: () => app.close({ timeout: 100 }) }
}
