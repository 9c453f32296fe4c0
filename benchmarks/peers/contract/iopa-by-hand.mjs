import { http } from '@iopa/http'
import { byHand } from '../../contract.mjs'

export const start = async ({ port, host }) => {
  await byHand().use(http({ port, host })).listen()
}
