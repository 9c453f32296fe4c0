import type { Context } from '@iopa/context'
import { RECORD, type RunContext, rareOf } from '@iopa/context/host'

/** Calls `listener` once if the request becomes an observation, before its first answer is delivered; call it before `next()`. */
export const whenObserved = (context: Context, listener: () => void): void => {
  rareOf((context as RunContext)[RECORD]).observed = listener
}

/** How many answers an observing request has been given until now, the first one and a last one that ends it included; 0 for any other request. */
export const deliveriesOf = (context: Context): number => (context as RunContext)[RECORD].rare?.deliveries ?? 0
