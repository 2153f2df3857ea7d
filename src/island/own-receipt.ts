import { isSignedBy } from '../protocol/identity.ts';
import type { CoordinatorMessage } from '../protocol/messages.ts';
import { receiptText } from '../protocol/receipts.ts';
import type { IslandHost } from './host.ts';

/** Keeps a receipt. One that is not this island's, or that the host has not signed, is worth nothing. */
export async function keepReceipt(
  host: Pick<IslandHost, 'name' | 'identity' | 'keepReceipt' | 'say'>,
  hostKey: string,
  { receipt, signature }: CoordinatorMessage & { readonly kind: 'receipt' },
): Promise<void> {
  const isMine = receipt.island === host.name && receipt.key === host.identity.publicKey;
  if (isMine && (await isSignedBy(hostKey, receiptText(receipt), signature)))
    host.keepReceipt(receipt, signature, hostKey);
  else host.say('the coordinator sent a receipt that its host has not signed');
}
