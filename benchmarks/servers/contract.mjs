import { http } from '@iopa/http'
import { declared } from '../contract.mjs'

export const start = async ({ port, host }) => {
  const app = declared().use(http({ port, host }))
  await app.listen()
  return { close: () => app.close() }
}
