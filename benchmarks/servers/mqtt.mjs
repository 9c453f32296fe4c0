// The embedded broker as an app has it: every packet goes through the App's pipeline.
import { App } from '@iopa/appbuilder'
import { mqtt } from '@iopa/mqtt'

export async function start({ port, host }) {
  const app = new App({ logger: false }).use(mqtt({ port, host }))
  await app.listen()
  return { close: () => app.close({ timeout: 0 }) }
}
