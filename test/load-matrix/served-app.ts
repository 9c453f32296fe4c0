import { App, type Logger } from '@iopa/appbuilder'
import { mqtt } from '@iopa/mqtt'
import { router } from '@iopa/router'
import { parseUrl } from '@iopa/transport'

export interface LoadedApp {
  readonly app: App
  readonly port: number
  /** Lines that the broker has logged. */
  readonly lines: string[]
  /** Questions of handlers that were answered. */
  readonly answered: () => number
}

/** An app whose handlers take so many milliseconds, and one whose handlers wait for a message of their publisher. */
export const serveLoad = async (milliseconds: number): Promise<LoadedApp> => {
  const lines: string[] = []
  const note = (...data: unknown[]): void => void lines.push(data.map(String).join(' '))
  const logger: Logger = { error: note, warn: note, info: () => undefined, debug: () => undefined }
  const waiting = new Map<string, () => void>()
  let [questions, answered] = [0, 0]
  const transport = mqtt({ port: 0, limits: { connectionsPerAddress: 5000 } })
  const app = new App({ logger }).use((context, next) => {
    const name = context['mqtt.UserName']
    if (context.method === 'CONNECT' && name !== undefined) context.user = { id: name }
    return next()
  })
  const routes = app.use(router())
  routes.put('/work/:client/:id', () => new Promise<void>(resolve => void setTimeout(resolve, milliseconds)))
  routes.put('/ask/:client/:id', async ({ params }) => {
    const id = String(++questions)
    const answer = new Promise<void>(resolve => void waiting.set(id, resolve))
    await transport.publish(`question/${params.client}`, id)
    await answer
    waiting.delete(id)
    answered++
  })
  routes.put('/answer/:id', ({ params }) => waiting.get(params.id)?.())
  app.use(transport)
  const [listener] = await app.listen()
  return { app, port: Number(parseUrl((listener as { url: URL }).url).port), lines, answered: () => answered }
}
